"""Write recipes, read them, and refuse what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import MejiroError, UsageError
from mejiro.export.recipe import (
    Calibration,
    Choice,
    Engine,
    Method,
    Recipe,
    Scheme,
    parse_recipe,
    read_recipe,
)

patterns = st.text(min_size=1, max_size=30).filter(str.isprintable)
recipes = st.builds(
    Recipe,
    default=st.sampled_from(Scheme),
    layers=st.lists(
        st.tuples(patterns, st.sampled_from(Scheme)), max_size=5, unique_by=lambda rule: rule[0]
    ).map(tuple),
    calibration=st.builds(
        Calibration,
        method=st.just(Method.PERCENTILE) | st.sampled_from(Method),
        pictures=st.integers(1, 100_000),
        choice=st.sampled_from(Choice),
    ),
    symmetric=st.booleans(),
) | st.just(Recipe(symmetric=True, engine=Engine.TENSORRT))


@given(recipes)
def test_a_recipe_is_the_same_after_toml_and_json(recipe):
    assert parse_recipe(recipe.to_toml()) == recipe
    assert Recipe.from_json(recipe.to_json()) == recipe


@given(st.floats(50, 100))
def test_the_share_of_a_percentile_is_kept(share):
    recipe = Recipe(calibration=Calibration(method=Method.PERCENTILE, share=share))
    assert parse_recipe(recipe.to_toml()).calibration.share == share


@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_refused_in_one_line(text):
    refusal = ""
    try:
        parse_recipe(text)
    except MejiroError as error:
        refusal = str(error)
    assert "\n" not in refusal


def test_an_empty_file_is_int8_by_minimum_and_maximum():
    assert parse_recipe("") == Recipe(Scheme.INT8, calibration=Calibration(Method.MIN_MAX))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default = 'int4'", "'default' must be one of int8, int16x8, float16, float"),
        ("default = 8", "'default' must be str, found int"),
        ("defalt = 'int8'", "unknown fields: 'defalt'"),
        ("engine = 'tensorrt'", 'needs activations = "symmetric"'),
        ("engine = 'openvino'", "must be one of any, tensorrt"),
        ("activations = 'both'", "must be one of symmetric, asymmetric"),
        ("layers = 'float'", "'layers' must be dict, found str"),
        ("[layers]\nstem = 'int2'", r"\[layers\]: 'stem' must be one of"),
        ("[layers]\nstem = {}", r"\[layers\]: 'stem' must be str, found dict"),
        ("[layers]\n'a\\u0000' = 'int8'\nstem='int8'\nstem='int8'", "not valid TOML"),
        ('[layers]\n"a\\u0000" = "int8"', "printable characters"),
        ("[calibration]\nmethod = 'kl'", "must be one of min-max, percentile, entropy, mse"),
        ("[calibration]\nmethd = 'mse'", r"\[calibration\] has unknown fields: 'methd'"),
        ("[calibration]\nshare = 20", "the share must lie in 50 to 100 percent, found 20"),
        ("[calibration]\nshare = nan", "'share' must be finite"),
        ("[calibration]\npictures = 0", "must number 1 to 100000, found 0"),
        ("calibration = 3", "'calibration' must be dict"),
        ("not toml", "not valid TOML"),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_line(text, words):
    with pytest.raises(UsageError, match=words) as raised:
        parse_recipe(text, "recipe.toml")
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("recipe.toml") or "recipe.toml" not in words


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UsageError, match="none.toml cannot be read"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"bytes.toml is no text in UTF-8"):
        read_recipe(tmp_path / "bytes.toml")


def test_a_rule_twice_is_refused_and_with_layers_replaces():
    with pytest.raises(UsageError, match="names 'a' twice"):
        Recipe(layers=(("a", Scheme.INT8), ("a", Scheme.FLOAT)))
    recipe = Recipe(layers=(("a", Scheme.INT8), ("b", Scheme.FLOAT)))
    changed = recipe.with_layers({"a": Scheme.FLOAT16})
    assert changed.layers == (("b", Scheme.FLOAT), ("a", Scheme.FLOAT16))
