"""Read the names of layers out of the names that the converter gives tensors."""

from __future__ import annotations

import pytest

from mejiro.export.flatbuffer import Operator
from mejiro.export.layers import NamedOperator, layers_of, schemes_of
from mejiro.export.recipe import Recipe, Scheme

FUSED = "net_1/relu_1/Relu6;net_1/bn_1/batchnorm/add_1;net_1/conv_1_2/convolution"


@pytest.mark.parametrize(
    ("tensor", "layers"),
    [
        (FUSED, ("relu", "bn", "conv_1")),
        ("net_1/inner_1/conv_3/convolution", ("inner/conv", "conv", "inner")),
        ("Identity", ()),
        ("", ()),
    ],
)
def test_the_layers_of_a_tensor(tensor, layers):
    assert layers_of(tensor) == layers


def test_the_last_rule_that_matches_decides():
    names = [FUSED, "net_1/conv_1/convolution", "net_1/pool_1/Mean"]
    operators = [
        NamedOperator(Operator("CONV_2D", (), ()), name, layers_of(name)) for name in names
    ]
    rules = (("*", Scheme.FLOAT), ("conv_?", Scheme.INT16X8), (names[1], Scheme.FLOAT16))
    assert schemes_of(operators, Recipe(layers=rules)) == [
        Scheme.INT16X8,
        Scheme.FLOAT16,
        Scheme.FLOAT,
    ]
    assert schemes_of(operators, Recipe(Scheme.FLOAT)) == [Scheme.FLOAT] * 3
