"""Options mean the same after every source, and what is none is refused with those there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import MejiroError, UsageError
from mejiro_runtime.sources import SOURCES, open_source
from mejiro_runtime.sources.options import MAX_SIDE, one_of, positive, size, split

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="?&=#"))
NAMES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)


@given(PLAIN, st.dictionaries(NAMES, PLAIN, min_size=1), st.sampled_from("?#"))
def test_what_was_written_is_read(rest: str, options: dict[str, str], mark: str) -> None:
    text = rest + mark + "&".join(f"{name}={value}" for name, value in options.items())
    assert split(text, "x", dict.fromkeys(options, str), mark=mark) == (rest, options)


@given(PLAIN)
def test_without_a_mark_there_are_no_options(rest: str) -> None:
    assert split(rest, "x", {"a": str}) == (rest, {})


@given(st.text())
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        rest, options = split(text, "x", {"size": size, "fps": positive, "format": one_of("a")})
    except UsageError:
        return
    assert text.startswith(rest)
    assert set(options) <= {"size", "fps", "format"}


@pytest.mark.parametrize("kind", sorted(SOURCES))
@given(text=st.text(max_size=40))
def test_any_word_opens_a_source_or_is_refused(kind: str, text: str) -> None:
    try:
        source = open_source(f"{kind}:{text}")
    except MejiroError:
        return
    assert source.description


@pytest.mark.parametrize("tail", ["", "x=1", "size", "size=8x8&", "=1", "SIZE=8x8"])
def test_an_unknown_option_lists_the_known_ones(tail: str) -> None:
    with pytest.raises(UsageError, match="is no option of camera; its options: size=, fps="):
        split(f"0?{tail}", "camera", {"size": size, "fps": positive})


def test_an_option_counts_once_and_takes_what_it_says() -> None:
    with pytest.raises(UsageError, match="size= is given twice"):
        split("0?size=8x8&size=8x8", "camera", {"size": size})
    with pytest.raises(UsageError, match="size= of camera takes WIDTHxHEIGHT .*, found '8'"):
        split("0?size=8", "camera", {"size": size})
    with pytest.raises(UsageError, match="pace= of a video takes real or fast, found 'slow'"):
        split("a?pace=slow", "a video", {"pace": one_of("real", "fast")})


@given(st.integers(1, MAX_SIDE), st.integers(1, MAX_SIDE), st.integers(1, 9_999_999))
def test_values_are_read(width: int, height: int, thousandths: int) -> None:
    assert size(f"{width}x{height}") == (width, height)
    assert positive(f"{thousandths / 1000:.3f}") == thousandths / 1000


@pytest.mark.parametrize("text", ["", "0x1", "1x0", "16385x1", "1X1", "٣x٣", "-1x1", "1x1 "])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        size(text)


@pytest.mark.parametrize("text", ["", "0", "0.000", "-1", "1e3", "nan", "10000", "٣", "1."])
def test_no_positive_number(text: str) -> None:
    with pytest.raises(ValueError, match="a number above 0"):
        positive(text)
