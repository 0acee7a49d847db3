"""Run a quantized file and its float network on the same pictures, tensor beside tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.data.calibration import CalibrationPicture, CalibrationSet
from mejiro.errors import QualityError
from mejiro.export.flatbuffer import Operator
from mejiro.quality.diagnose.matching import Candidate, match
from mejiro.quality.diagnose.network import MOVES, Grid, Network
from mejiro.quality.diagnose.tally import Moments, Tally
from mejiro_runtime.preprocess import InputSpec


@dataclass(frozen=True)
class Pair:
    """Hold one layer in both files: its operators, and the places of its output in each.

    `observed` is the place in the quantized file that is looked at: the output, or what the file
    rounds it to before anything reads it.
    """

    quantized: Operator
    floats: Operator
    output: int
    observed: int
    float_output: int


@dataclass(frozen=True)
class Comparison:
    """Hold two files that ran on the same pictures, and the sums of what they made.

    `pairs` are in running order; `tallies` has one for each, by the float output's place, and
    `moments` those of every float tensor that a layer reads or makes.
    """

    quantized: Network
    floats: Network
    pairs: tuple[Pair, ...]
    tallies: dict[int, Tally]
    moments: dict[int, Moments]
    pictures: int
    unmatched: tuple[str, ...]


def compare(
    artifact: Path,
    float_file: Path,
    pictures: CalibrationSet,
    spec: InputSpec,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Return the comparison of two TFLite files that take the same input `spec`.

    Pictures that cannot be read are left out. Raises QualityError if the files have no layers in
    common, CalibrationError if no picture can be read.
    """
    quantized, floats = Network(artifact), Network(float_file)
    pairs, unmatched = pair_layers(quantized, floats)
    if not pairs:
        raise QualityError(
            f"{artifact.name} has no layer in common with the float model; give --against the "
            "model that it was converted from"
        )
    tallies = {pair.float_output: Tally(*_measures(quantized, floats, pair)) for pair in pairs}
    moments = {place: tally.signal for place, tally in tallies.items()}
    read = _also_read(floats, pairs, moments)
    seen, done = 0, _Count(len(pictures), on_progress)
    for tensor in pictures.tensors(spec, on_unreadable=done.skip):
        quantized.run(tensor)
        floats.run(tensor)
        for pair in pairs:
            tally = tallies[pair.float_output]
            tally.add(floats.floats(pair.float_output), quantized.values(pair.observed))
        for place, moment in read.items():
            values = floats.floats(place)
            moment.add(values.reshape(-1, moment.channels))
        seen += 1
        done.step()
    return Comparison(quantized, floats, pairs, tallies, moments | read, seen, unmatched)


class _Count:
    """Tell how many pictures are done, read or not."""

    def __init__(self, total: int, tell: Callable[[int, int], None] | None) -> None:
        self._done, self._total, self._tell = 0, total, tell

    def step(self) -> None:
        self._done += 1
        if self._tell is not None:
            self._tell(self._done, self._total)

    def skip(self, picture: CalibrationPicture) -> None:
        self.step()


def pair_layers(quantized: Network, floats: Network) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """Return the layers of both files, in running order, and the names of those in one alone."""
    mine, theirs = _candidates(quantized), _candidates(floats)
    places = match(mine, theirs)
    pairs = tuple(
        Pair(
            quantized=quantized.maker[one.place],
            floats=floats.maker[places[one.place]],
            output=one.place,
            observed=_rounded_later(quantized, one.place),
            float_output=places[one.place],
        )
        for one in mine
        if one.place in places
    )
    return pairs, tuple(one.name for one in mine if one.place not in places)


def _candidates(network: Network) -> list[Candidate]:
    """Return the outputs of all operators that compute, in running order."""
    found = []
    for operator in network.operators:
        if operator.name in MOVES:
            continue
        for place in operator.outputs:
            tensor = network.file.tensor(place)
            found.append(Candidate(place, tensor.name, tensor.shape, operator.name))
    return found


def _rounded_later(network: Network, place: int) -> int:
    """Return the place of an output's coarser copy, where all that reads it reads that.

    A layer of floats or int16 gains nothing if its output is rounded to int8 right behind it.
    """
    readers = network.readers.get(place, [])
    if len(readers) == 1 and readers[0].name == "QUANTIZE":
        return readers[0].outputs[0]
    return place


def _measures(quantized: Network, floats: Network, pair: Pair) -> tuple[int, Grid | None]:
    shape = floats.file.tensor(pair.float_output).shape
    return (shape[-1] if len(shape) > 1 else 1), quantized.grid(pair.observed)


def _also_read(
    floats: Network, pairs: tuple[Pair, ...], known: dict[int, Any]
) -> dict[int, Moments]:
    """Return moments, still empty, for what weighted layers read beyond other layers' outputs."""
    found = {}
    for pair in pairs:
        if floats.weights(pair.floats) is None:
            continue
        place = floats.activations(pair.floats)[0]
        shape = floats.file.tensor(place).shape
        if place not in known:
            found[place] = Moments(shape[-1] if len(shape) > 1 else 1)
    return found
