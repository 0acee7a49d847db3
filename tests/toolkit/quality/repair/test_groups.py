"""Groups hold all that must be scaled together, and nothing that may not be."""

from __future__ import annotations

import pytest

from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.layers import layers_of
from mejiro.quality.repair.groups import channel_groups


def named(source: bytes) -> list[tuple[set[str], set[str]]]:
    """Return the layers that write and that read each group."""
    file = TFLiteFile(source)
    tensors = [file.tensor(one.outputs[0]).name for one in file.operators]
    known = {"stem", "depthwise", "project", "expand", "narrow", "wide", "back", "head", "tell"}

    def layers(places):
        found = (set(layers_of(tensors[place])) for place in places)
        return {next(iter(names & known), "tell") for names in found}

    return [(layers(group.writers), layers(group.readers)) for group in channel_groups(file)]


SUM = ({"narrow", "back"}, {"wide", "head"})
ALWAYS = [({"project"}, {"expand"}), SUM]


@pytest.mark.parametrize("activation", ["relu6", "swish", "sigmoid"])
def test_what_passes_no_factor_on_divides_the_groups(make_source, activation):
    assert named(make_source(activation)) == ALWAYS


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_what_passes_a_factor_on_joins_them(make_source, activation):
    assert named(make_source(activation)) == [
        ({"stem"}, {"depthwise"}),
        ({"depthwise"}, {"project"}),
        ({"project"}, {"expand"}),
        ({"expand"}, {"narrow"}),
        SUM,
        ({"wide"}, {"back"}),
        ({"head"}, {"tell"}),
    ]


def test_a_sum_goes_with_all_that_it_adds(whole_source):
    groups = channel_groups(TFLiteFile(whole_source))
    (group,) = [one for one in groups if len(one.writers) == 2]
    assert len(group.tensors) == 3
    assert group.channels == 6
