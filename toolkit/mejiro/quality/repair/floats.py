"""Leave the worst layers in float: first one, then twice as many each time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mejiro.export.normalization import exported_input
from mejiro.export.quantize import pixel_quantization, quantize
from mejiro.export.recipe import MAX_PATTERN, Recipe, Scheme
from mejiro.quality.diagnose.comparison import compare
from mejiro.quality.diagnose.names import keras_names
from mejiro.quality.diagnose.ranking import find
from mejiro.quality.repair.bench import Bench
from mejiro.quality.repair.budget import NotTried, Plan
from mejiro.report.diagnosis.findings import LayerFindings

# With more of them in float there is no int8 file left to speak of.
MOST_IN_FLOAT = 0.5


def leave_in_float(bench: Bench) -> Iterator[Plan | NotTried]:
    """Leave the layers that add most error in float, more of them while the time allows.

    Once a number of layers is enough for the points and too slow, the middle between it and the
    last number that was too few is tried, and so on.
    """
    base = bench.best.plan
    layers = worst_layers(bench, base)
    budget = bench.means.budget
    few, many = 0, int(MOST_IN_FLOAT * len(layers)) + 1
    count = 1
    while few < count < many:
        chosen = layers[:count]
        recipe = bench.recipe_of(base).with_layers({one.tensor: Scheme.FLOAT for one in chosen})
        words = f"left {chosen[0].name} in float"
        if count > 1:
            words = f"left {count} layers in float, {chosen[0].name} first"
        yield Plan((*base.done, words), recipe, base.source)
        last = bench.candidates[-1]
        if budget.allows_drop(last.lost):
            many = count  # it was too slow, or the search would have ended
        else:
            few = count
        count = 2 * few if 2 * few < many else (few + many) // 2
    if not layers:
        yield NotTried("no layer that adds an error can be told from the others")


def worst_layers(bench: Bench, plan: Plan) -> list[LayerFindings]:
    """Return the layers of the int8 file of a plan that can be left in float, worst first."""
    source = bench.source_of(plan)
    everywhere = Recipe(default=Scheme.FLOAT)
    pixels = pixel_quantization(bench.model)
    with tempfile.TemporaryDirectory(prefix="mejiro-repair.") as folder:
        quantized, floats = (Path(folder) / f"{name}.tflite" for name in ("quantized", "float"))
        quantized.write_bytes(bench.int8_of(plan))
        floats.write_bytes(quantize(source, everywhere, {}, pixels=pixels))
        bench.means.events.stage("comparing layer by layer")
        comparison = compare(
            quantized,
            floats,
            bench.looks.few(),
            exported_input(bench.model.input),
            on_progress=bench.means.events.progress,
        )
        layers = find(comparison, keras_names(bench.model))
    return [
        one
        for one in layers
        if one.operator != "SOFTMAX" and len(one.tensor) <= MAX_PATTERN and one.tensor.isprintable()
    ]
