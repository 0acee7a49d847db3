from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.apk.keys import Key
from mejiro.apk.options import ApkOptions, check_label, check_package, label_of, package_of
from mejiro.errors import UsageError


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ({"label": ""}, "label '' is none"),
        ({"label": " cats"}, "no space around"),
        ({"label": "cats\ndogs"}, "cannot be shown"),
        ({"label": "x" * 51}, "at most|1 to 50"),
        ({"label": "\ud800"}, "cannot be shown"),
        ({"package": "cats"}, "package 'cats' is none"),
        ({"package": "org.1cats"}, "is none"),
        ({"package": "org..cats"}, "is none"),
        ({"package": "org.cats\n"}, "is none"),
        ({"package": "org.ねこ"}, "is none"),
        ({"package": "a." + "b" * 126}, "is none"),
        ({"version_code": 0}, "version code 0 is none"),
        ({"version_code": 2_100_000_001}, "is none"),
        ({"version_name": ""}, "version name '' is none"),
        ({"version_name": "1 0"}, "is none"),
    ],
)
def test_what_android_would_refuse_is_refused_here(
    key: Key, given_: dict[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        ApkOptions(key=key, **given_)


def test_what_android_takes_is_taken(key: Key) -> None:
    options = ApkOptions(key, "ねこ探し 🐈", "com.example.Cats_2", Path("icon.png"), 12, "1.2-rc3")
    assert options.version_code == 12


@given(st.text(max_size=200))
def test_any_name_gives_a_label_and_any_word_a_package(name: str) -> None:
    if not re.search(r"[\ud800-\udfff]", name):
        label = label_of(name)
        try:
            check_label(label)
        except UsageError:
            assert not label.isprintable()  # characters that no Unicode has, of private use
    if re.search("[a-zA-Z]", name):
        check_package(package_of(name))


def test_packages_are_named_after_sites() -> None:
    assert package_of("cat-finder") == "org.mejiro.app.catfinder"
    assert package_of("Café 2") == "org.mejiro.app.cafe2"
    with pytest.raises(UsageError, match="give one with --package"):
        package_of("猫")
