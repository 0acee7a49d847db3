"""Plan repairs, each step as a generator of plans, the cheapest first.

A step sees the candidates so far when it is asked for its next plan, so that it can build on what
its last one gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from mejiro.errors import ExportError
from mejiro.export.recipe import Method
from mejiro.quality.repair.bench import Bench
from mejiro.quality.repair.biases import absorb_biases, correct_biases
from mejiro.quality.repair.budget import NotTried, Plan
from mejiro.quality.repair.equalize import equalize
from mejiro.quality.repair.swap import swap_relu6, swap_swish
from mejiro.train.finetune import copied
from mejiro.train.qat import QatSettings, finetune_quantized

Step = Callable[[Bench], Iterator[Plan | NotTried]]

_METHODS = (Method.MSE, Method.PERCENTILE, Method.ENTROPY, Method.MIN_MAX)


def calibrate_better(bench: Bench) -> Iterator[Plan | NotTried]:
    """Choose the ranges of activations by other methods."""
    recipe = bench.recipe_of(bench.plain.plan)
    known = recipe.calibration.method
    trained = bench.model.trained is not None and bench.means.outputs.recipe is None
    for method in _METHODS:
        if method is known and not trained:
            continue
        other = replace(recipe, calibration=replace(recipe.calibration, method=method))
        yield Plan((f"calibrated by {other.method_in_words()}",), other)


def equalize_channels(bench: Bench) -> Iterator[Plan | NotTried]:
    """Equalize channels across layers, then correct biases."""
    begun = bench.best.plan
    source = bench.source_of(begun)
    result = equalize(source, bench.looks.moments(source))
    if result.groups:
        words = f"equalized {_some(result.groups, 'group')} of channels"
        yield _built(bench, begun, words, result.file)
        if begun is not bench.plain.plan:
            # What was the best way to calibrate unequal channels need not be it for equal ones.
            yield _built(bench, bench.plain.plan, words, result.file)
    else:
        yield NotTried("no channels can be equalized: no weights that ReLU or nothing lies between")
    base = bench.best.plan
    source = bench.source_of(base)
    moments = bench.looks.moments(source)
    amended, corrected = correct_biases(source, bench.int8_of(base), moments)
    if corrected:
        yield _built(bench, base, f"corrected biases of {_some(corrected, 'layer')}", amended)
    else:
        yield NotTried("no layer has a bias to correct")


def absorb(bench: Bench) -> Iterator[Plan | NotTried]:
    """Let the next layer's bias absorb what a channel always holds."""
    base = bench.best.plan
    source = bench.source_of(base)
    amended, absorbed = absorb_biases(source, bench.looks.moments(source))
    if absorbed:
        yield _built(bench, base, f"absorbed biases of {_some(absorbed, 'layer')}", amended)
    else:
        yield NotTried("no bias can move on: all is padded, summed or behind other activations")


def swap_activations(bench: Bench) -> Iterator[Plan | NotTried]:
    """Put an activation that int8 takes better in the place of the network's own."""
    base = bench.best.plan
    source = bench.source_of(base)
    swapped = 0
    for swap, words in ((swap_swish, "hard swish for swish"), (swap_relu6, "ReLU for ReLU6")):
        amended, count = swap(source)
        if not count:
            continue
        swapped += count
        plan = _built(bench, base, f"{words}, {count} times", amended)
        yield plan
        if swap is swap_relu6:
            result = equalize(amended, bench.looks.moments(amended))
            words = f"equalized {_some(result.groups, 'group')} of channels"
            yield _built(bench, plan, words, result.file)
    if not swapped:
        yield NotTried("it has no swish and no ReLU6")


def train_for_int8(bench: Bench) -> Iterator[Plan | NotTried]:
    """Fine-tune the network with the roundings of its int8 file (quantization-aware training)."""
    means = bench.means
    pictures = means.lessons()
    if pictures is None:
        yield NotTried("there are no pictures to train on, as a run of `mejiro train` has")
        return
    recipe = bench.recipe_of(bench.plain.plan)
    tuned = finetune_quantized(
        copied(bench.model),
        pictures,
        means.training,
        QatSettings(recipe),
        teacher=bench.model,
        events=means.events,
    )
    epochs = f"{_some(means.training.epochs, 'epoch')} on {len(pictures.train)} pictures"
    yield Plan((f"trained for int8, {epochs}",), model=tuned)


def _built(bench: Bench, base: Plan, words: str, source: bytes) -> Plan:
    """Return `base` with another source."""
    if base.model is not None:
        raise ExportError("what was trained for int8 cannot be amended")
    return Plan((*base.done, words), bench.recipe_of(base), source)


def _some(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
