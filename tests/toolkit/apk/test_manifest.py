from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.apk.manifest import Identity, read_identity, write_identity
from mejiro.apk.strings import StringPool, read_pool, write_pool
from mejiro.apk.template import MANIFEST, read_template
from mejiro.errors import ApkError

# What UTF-16 can hold: no half of a pair of surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
IDENTITIES = st.builds(
    Identity, package=TEXTS, label=TEXTS, version_code=st.integers(0, 2**31), version_name=TEXTS
)


@pytest.fixture(scope="module")
def template() -> bytes:
    return read_template()[MANIFEST]


@given(strings=st.lists(TEXTS, max_size=20), utf8=st.booleans())
def test_a_pool_is_read_as_it_was_written(strings: list[str], utf8: bool) -> None:
    pool = StringPool(tuple(strings), utf8, flags=256 if utf8 else 0)
    chunk = write_pool(pool)
    assert len(chunk) % 4 == 0
    assert read_pool(chunk) == pool


@pytest.mark.parametrize("utf8", [False, True])
def test_long_strings_take_longer_lengths(utf8: bool) -> None:
    pool = StringPool(("a" * 127, "b" * 128, "猫" * 10_000, ""), utf8, flags=256 if utf8 else 0)
    assert read_pool(write_pool(pool)) == pool
    longest = replace(pool, strings=("c" * 40_000,))
    if utf8:
        with pytest.raises(ApkError, match="too long"):
            write_pool(longest)
    else:
        assert read_pool(write_pool(longest)) == longest


@given(identity=IDENTITIES)
def test_an_identity_is_read_as_it_was_written(template: bytes, identity: Identity) -> None:
    written = write_identity(template, identity)
    assert read_identity(written) == identity
    # And back again, to the byte: nothing else of the file was touched.
    assert write_identity(written, read_identity(template)) == template


@given(st.data())
def test_a_damaged_manifest_is_refused_or_read(template: bytes, data: st.DataObject) -> None:
    damaged = bytearray(template)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(template) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(template)), st.integers(0, len(template))))
    # Not all damage can be seen here; nothing but an ApkError may come of it.
    with contextlib.suppress(ApkError):
        write_identity(bytes(damaged[:end]), Identity("a.b", "c", 1, "d"))


@given(st.binary(max_size=200))
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ApkError):
        read_identity(data)


def test_a_text_that_serves_twice_is_not_changed(template: bytes) -> None:
    identity = read_identity(template)
    # The label's text is then that of an action, which would change with it.
    pool = read_pool(template[8 : 8 + int.from_bytes(template[12:16], "little")])
    label = pool.strings.index(identity.label)
    action = pool.strings.index("android.intent.action.MAIN")
    twice = template.replace(
        label.to_bytes(4, "little") + b"\x08\0\0\x03" + label.to_bytes(4, "little"),
        action.to_bytes(4, "little") + b"\x08\0\0\x03" + action.to_bytes(4, "little"),
    )
    assert twice != template
    with pytest.raises(ApkError, match="text of its label 2 times"):
        write_identity(twice, identity)
