"""JSON from strangers is either right or refused, and never anything in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields, parse_json, read_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Fruit(str, Enum):
    APPLE = "apple"
    PEAR = "pear"


READERS: dict[str, Callable[[Fields], Any]] = {
    "text": lambda fields: fields.text("x"),
    "integer": lambda fields: fields.integer("x"),
    "number": lambda fields: fields.number("x"),
    "numbers": lambda fields: fields.numbers("x"),
    "flag": lambda fields: fields.flag("x"),
    "items": lambda fields: fields.items("x"),
    "mapping": lambda fields: fields.mapping("x"),
    "choice": lambda fields: fields.choice("x", Fruit),
}
TYPES = {
    "text": str,
    "integer": int,
    "number": float,
    "numbers": tuple,
    "flag": bool,
    "items": list,
    "mapping": dict,
    "choice": Fruit,
}


@given(reader=st.sampled_from(sorted(READERS)), value=JSON)
@settings(max_examples=200)
def test_a_reader_returns_its_type_or_raises_spec_error(reader: str, value: Any) -> None:
    message = ""
    try:
        found = READERS[reader](Fields({"x": value}, "thing"))
    except SpecError as error:
        message = str(error)
    if message:
        assert message.startswith("thing: 'x' ")
    else:
        assert type(found) is TYPES[reader]


@given(
    reader=st.sampled_from(sorted(READERS)),
    value=JSON.filter(lambda value: not isinstance(value, dict)),
)
def test_only_objects_have_fields(reader: str, value: Any) -> None:
    with pytest.raises(SpecError, match="thing must be a JSON object"):
        READERS[reader](Fields(value, "thing"))


@pytest.mark.parametrize("reader", READERS)
def test_what_is_missing_is_named(reader: str) -> None:
    with pytest.raises(SpecError, match="thing has no 'x'"):
        READERS[reader](Fields({}, "thing"))


def test_a_default_stands_in_for_what_is_missing() -> None:
    fields = Fields({}, "thing")
    assert fields.text("a", "x") == "x"
    assert fields.integer("b", 3) == 3
    assert fields.number("c", 0.5) == 0.5
    assert fields.numbers("d", (1.0,)) == (1.0,)
    assert fields.flag("e", True) is True
    assert fields.items("f", []) == []
    assert fields.mapping("g", {}) == {}
    assert fields.choice("h", Fruit.PEAR) is Fruit.PEAR
    assert fields.optional("i") is None
    fields.finish()


def test_a_boolean_is_no_number() -> None:
    for name in ("integer", "number"):
        with pytest.raises(SpecError, match="found bool"):
            READERS[name](Fields({"x": True}, "thing"))
    with pytest.raises(SpecError, match="list of numbers"):
        READERS["numbers"](Fields({"x": [1, True]}, "thing"))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_a_number_is_finite(text: str) -> None:
    value = json.loads(text)
    with pytest.raises(SpecError, match="'x' must be"):
        Fields({"x": value}, "thing").number("x")
    with pytest.raises(SpecError, match="'x' must be") as caught:
        Fields({"x": [0, value]}, "thing").numbers("x")
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("bad", ["a\nb", "\x1b[2J", "\x00", "\x9b31m", "\ud800", "\x7f"])
def test_text_cannot_rewrite_a_terminal(bad: str) -> None:
    with pytest.raises(SpecError, match="control characters") as caught:
        Fields({"x": f"fine {bad}"}, "thing").text("x")
    assert bad not in str(caught.value)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_any_other_text_is_read(text: str) -> None:
    assert Fields({"x": text}, "thing").text("x") == text


def test_a_choice_lists_what_there_is() -> None:
    with pytest.raises(SpecError, match="one of apple, pear, found 'plum'"):
        Fields({"x": "plum"}, "thing").choice("x", Fruit)
    assert Fields({"x": "pear"}, "thing").choice("x", Fruit.APPLE) is Fruit.PEAR


@given(st.dictionaries(st.text(), JSON, min_size=1))
def test_what_nobody_asked_for_is_an_error(value: dict[str, Any]) -> None:
    fields = Fields(value, "thing")
    with pytest.raises(SpecError, match="thing has unknown fields"):
        fields.finish()
    assert fields.rest() == value
    fields.finish()


def test_reading_leaves_the_object_as_it_was() -> None:
    value = {"x": "a", "y": 1}
    fields = Fields(value, "thing")
    fields.text("x")
    fields.rest()
    assert value == {"x": "a", "y": 1}


@given(JSON)
def test_json_is_parsed(value: Any) -> None:
    text = json.dumps(value)
    assert json.dumps(parse_json(text, "thing")) == text


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nul", '{"a": 1} {', "[" * 100_000])
def test_broken_json_is_refused_by_name(text: str) -> None:
    with pytest.raises(SpecError, match="thing is not valid JSON"):
        parse_json(text, "thing")


def test_a_file_is_read_or_refused_by_name(tmp_path) -> None:
    path = tmp_path / "thing.json"
    with pytest.raises(SpecError, match=r"thing\.json cannot be read"):
        read_json(path)
    path.write_bytes(b'"\xff"')
    with pytest.raises(SpecError, match=r"thing\.json cannot be read"):
        read_json(path)
    path.write_text('{"a": [1, 2]}', encoding="utf-8")
    assert read_json(path) == {"a": [1, 2]}
    with pytest.raises(SpecError, match="larger than 4 bytes"):
        read_json(path, limit_bytes=4)
