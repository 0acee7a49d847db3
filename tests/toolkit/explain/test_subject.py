"""A class is found by name, synset or index, or refused in a line."""

from __future__ import annotations

import pytest

from mejiro.errors import UsageError
from mejiro.explain.subject import find_class
from mejiro_runtime.types import Label

LABELS = (
    Label(0, "tabby, tabby cat", "n02123045"),
    Label(1, "crane", "n02012849"),
    Label(2, "crane", "n03126707"),
    Label(3, "目白"),
)


@pytest.mark.parametrize(
    ("text", "index"),
    [("tabby", 0), ("Tabby, tabby cat", 0), ("n03126707", 2), ("2", 2), ("目白", 3)],
)
def test_a_class_is_found(text, index):
    assert find_class(LABELS, text) == LABELS[index]


@pytest.mark.parametrize(
    ("text", "message"),
    [("taby", "did you mean 'tabby'"), ("7", "no class '7'"), ("crane", "classes 1 and 2"),
     ("", "no class")],
)  # fmt: skip
def test_any_other_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        find_class(LABELS, text)
