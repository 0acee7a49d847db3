from __future__ import annotations

import io
import random
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mejiro.apk.archive import Member, write_archive
from mejiro.apk.layout import find_layout

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\\:"), min_size=1, max_size=40)
CONTENTS = st.one_of(
    st.binary(max_size=300),
    st.integers(1, 3000).map(lambda n: b"a" * n),
    st.integers(1, 3000).map(lambda n: random.Random(n).randbytes(n)),
)


def _write(members: dict[str, bytes]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zip"
        write_archive(path, [Member(name, data) for name, data in members.items()])
        return path.read_bytes()


@given(st.dictionaries(NAMES, CONTENTS, max_size=8))
def test_what_is_stored_is_aligned_and_all_is_read_back(members: dict[str, bytes]) -> None:
    members = {name.lstrip("/") or "a": data for name, data in members.items()}
    data = _write(members)
    assert data == _write(members)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == list(members)
        for info in archive.infolist():
            assert archive.read(info) == members[info.filename]
            at = info.header_offset
            start = (
                at + 30 + sum(int.from_bytes(data[at + n : at + n + 2], "little") for n in (26, 28))
            )
            assert info.compress_type == zipfile.ZIP_DEFLATED or start % 4 == 0
            assert not info.flag_bits & 0x08  # no sizes behind the data
    assert find_layout(data).block == b""


def test_only_what_shrinks_is_compressed(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(10_000)
    file = tmp_path / "weights"
    file.write_bytes(noise)
    members = [
        Member("code", b"text " * 1000),
        Member("weights", file),
        Member("resources.arsc", b"text " * 1000),
        Member("little", noise + b"a" * 1000),
        Member("empty", b""),
    ]
    write_archive(tmp_path / "a.zip", members)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        kinds = {info.filename: info.compress_type for info in archive.infolist()}
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    assert kinds == {
        "code": deflated,
        "weights": stored,
        "resources.arsc": stored,
        "little": stored,
        "empty": stored,
    }
