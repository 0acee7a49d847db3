"""Headers of requests are read as RFC 9110 has them, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.serve.conditions import Unsatisfiable, names_tag, read_range, takes_gzip


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("GZIP", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("br, deflate", False),
    ],
)
def test_gzip_is_sent_to_who_takes_it(header: str | None, wanted: bool) -> None:
    assert takes_gzip(header) is wanted


@pytest.mark.parametrize(
    ("header", "size", "wanted"),
    [
        (None, 100, None),
        ("bytes=0-9", 100, (0, 10)),
        ("bytes=90-", 100, (90, 100)),
        ("bytes=90-200", 100, (90, 100)),
        ("bytes=-10", 100, (90, 100)),
        ("bytes=-200", 100, (0, 100)),
        ("bytes=9-3", 100, None),
        ("bytes=0-1,3-4", 100, None),
        ("lines=0-1", 100, None),
        ("bytes=-", 100, None),
        ("bytes=٣-٤", 100, None),
    ],
)
def test_a_range_is_read(header: str | None, size: int, wanted: tuple[int, int] | None) -> None:
    assert read_range(header, size) == wanted


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=-0", 9), ("bytes=0-", 0)]
)
def test_a_range_behind_the_end_is_refused(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        read_range(header, size)


def test_an_unchanged_file_is_told_by_its_tag() -> None:
    assert names_tag('"a"', '"a"')
    assert names_tag('"x", W/"a"', '"a"')
    assert names_tag("*", '"a"')
    assert not names_tag('"x"', '"a"')
    assert not names_tag(None, '"a"')


@given(st.text(max_size=40) | st.from_regex(r"bytes=\d*-\d*", fullmatch=True), st.integers(0, 50))
def test_a_range_always_lies_inside(header: str, size: int) -> None:
    try:
        span = read_range(header, size)
    except Unsatisfiable:
        return
    assert span is None or 0 <= span[0] < span[1] <= size


@given(st.text(max_size=60))
def test_any_header_is_read(header: str) -> None:
    assert takes_gzip(header) in (True, False)
    assert names_tag(header, '"tag"') in (True, False)
