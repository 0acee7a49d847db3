"""Tensors are matched by name, through all that a conversion changes in names, or by place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mejiro.quality.diagnose.matching import Candidate, match

CONV = "net_1/relu_1/Relu;net_1/conv_1/convolution"


def candidates(*names: str, shape: tuple[int, ...] = (1, 4, 4, 8), start: int = 0):
    return [Candidate(start + place, name, shape, "CONV_2D") for place, name in enumerate(names)]


def test_equal_names_match():
    assert match(candidates("a/b", "a/c"), candidates("a/b", "a/c", start=10)) == {0: 10, 1: 11}


def test_what_a_quantizer_appends_is_passed_over():
    assert match(candidates("a/b_quantized"), candidates("a/b", start=5)) == {0: 5}


def test_another_outer_scope_and_other_numbers_match():
    quantized = candidates("functional_3_1/conv_2/convolution1", "functional_3_1/dense_2/MatMul")
    floats = candidates("functional_1/conv_1/convolution", "functional_1/dense_1/MatMul", start=7)
    assert match(quantized, floats) == {0: 7, 1: 8}


def test_parts_in_another_order_match():
    first, second = CONV.split(";")
    assert match(candidates(f"{second};{first}"), candidates(CONV)) == {0: 0}


def test_other_shapes_never_match():
    assert match(candidates("a/b"), candidates("a/b", shape=(1, 8))) == {}


def test_what_has_no_name_is_matched_by_its_place():
    quantized = candidates("x/first", "mystery", "x/last")
    floats = candidates("entry", "x/first", "riddle", "x/last", start=20)
    assert match(quantized, floats) == {0: 21, 1: 22, 2: 23}


def test_nothing_is_matched_across_a_pair():
    quantized = candidates("x/first", "mystery")
    floats = candidates("riddle", "x/first")
    assert match(quantized, floats) == {0: 1}


names = st.lists(
    st.from_regex(r"net_1/[a-d](_[1-3])?/(Relu|convolution)", fullmatch=True),
    unique=True,
    max_size=8,
)


@given(names, st.data())
def test_a_file_matches_itself_under_any_outer_scope(words, data):
    scope = data.draw(st.sampled_from(["net_1", "functional_7", "other"]))
    renamed = [word.replace("net_1", scope) for word in words]
    pairs = match(candidates(*renamed), candidates(*words, start=100))
    assert pairs == {place: 100 + place for place in range(len(words))}


@given(names, names)
def test_no_tensor_is_matched_twice(mine, theirs):
    pairs = match(candidates(*mine), candidates(*theirs, start=100))
    assert len(set(pairs.values())) == len(pairs)
