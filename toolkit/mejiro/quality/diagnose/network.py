"""Open a TFLite file so that every tensor can be looked at after it has run."""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import ExportError
from mejiro.export.flatbuffer import Operator, TFLiteFile
from mejiro.export.quiet import quietly

Floats = NDArray[np.float32]

# What only moves or renames values: nothing is computed, so nothing can go wrong there.
MOVES = frozenset(
    {
        "CAST",
        "DEQUANTIZE",
        "EXPAND_DIMS",
        "PACK",
        "PAD",
        "PADV2",
        "QUANTIZE",
        "RESHAPE",
        "SHAPE",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TRANSPOSE",
    }
)
WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


@dataclass(frozen=True)
class Grid:
    """Hold the steps that a quantized tensor can take: `scale` (value - `zero`), low to high.

    Weights may have a scale for each channel along `axis`.
    """

    scale: Floats
    zero: NDArray[np.int64]
    axis: int
    low: int
    high: int

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest number of a tensor with one scale."""
        scale, zero = float(self.scale[0]), int(self.zero[0])
        return scale * (self.low - zero), scale * (self.high - zero)

    @property
    def levels(self) -> int:
        """How many numbers there are between the two, and with them."""
        return self.high - self.low + 1

    def to_float(self, values: NDArray[Any]) -> Floats:
        """Return what quantized `values` mean."""
        shape = [1] * values.ndim
        if self.scale.size > 1:
            shape[self.axis] = self.scale.size
        scale, zero = self.scale.reshape(shape), self.zero.reshape(shape).astype(np.float32)
        return np.asarray((values.astype(np.float32) - zero) * scale)

    def rounded(self, values: Floats) -> Floats:
        """Return `values` as a tensor with one scale tells them: rounded, and cut at the limits."""
        scale, zero = self.scale[0], np.float32(self.zero[0])
        whole = np.rint(values / scale) + zero
        return np.asarray((np.clip(whole, self.low, self.high) - zero) * scale)


class Network:
    """Run a TFLite file with its own operators, one thread for each CPU, and keep all tensors.

    No delegate takes part: what one computes inside is never seen. Places are those of the file.
    Raises ExportError for a file that LiteRT cannot run.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        from ai_edge_litert import interpreter as litert

        self.data = path.read_bytes()
        self.file = TFLiteFile(self.data)
        self.operators: list[Operator] = self.file.operators
        plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        with quietly(f"opening {path.name} to look inside"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that keeping all tensors takes memory is known
            self._interpreter = litert.Interpreter(
                model_path=str(path),
                num_threads=threads,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=plain,
            )
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._grids = {
            int(detail["index"]): grid
            for detail in self._interpreter.get_tensor_details()
            if (grid := _grid(detail)) is not None
        }
        self.maker: dict[int, Operator] = {}
        self.readers: dict[int, list[Operator]] = defaultdict(list)
        for operator in self.operators:
            self.maker |= dict.fromkeys(operator.outputs, operator)
            for place in set(operator.inputs):
                self.readers[place].append(operator)

    @property
    def input(self) -> int:
        """The place of the input."""
        return int(self._input)

    def grid(self, place: int) -> Grid | None:
        """Return the grid of a quantized tensor, None for floats."""
        return self._grids.get(place)

    def run(self, pixels: NDArray[Any]) -> None:
        """Run on one picture, shaped and typed as the input is."""
        self._interpreter.set_tensor(self._input, pixels)
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise ExportError(f"LiteRT failed to run this model: {error}") from error

    def values(self, place: int) -> NDArray[Any]:
        """Return a copy of what the tensor holds: constants always, others after `run`."""
        found: NDArray[Any] = self._interpreter.get_tensor(place)
        return found

    def floats(self, place: int) -> Floats:
        """Return what the tensor holds, as numbers."""
        values, grid = self.values(place), self.grid(place)
        return values.astype(np.float32) if grid is None else grid.to_float(values)

    def is_constant(self, place: int) -> bool:
        """Whether the file holds the tensor's values."""
        return self.file.tensor(place).constant

    def weights(self, operator: Operator) -> int | None:
        """Return the place of an operator's constant weights; None if it has none."""
        if operator.name not in WEIGHTED:
            return None
        place = operator.inputs[1]
        if not self.is_constant(place):
            # Half-precision weights pass through an operator that makes floats of them.
            maker = self.maker.get(place)
            if maker is None or not self.is_constant(maker.inputs[0]):
                return None
            return maker.inputs[0]
        return place

    def activations(self, operator: Operator) -> list[int]:
        """Return the places of what an operator computes with that is no constant."""
        return [place for place in operator.inputs if not self.is_constant(place)]


def _grid(detail: dict[str, Any]) -> Grid | None:
    parameters = detail["quantization_parameters"]
    kind = np.dtype(detail["dtype"])
    if not len(parameters["scales"]) or kind.kind not in "iu":
        return None
    limits = np.iinfo(kind)
    return Grid(
        scale=np.asarray(parameters["scales"], np.float32),
        zero=np.asarray(parameters["zero_points"], np.int64),
        axis=int(parameters["quantized_dimension"]),
        low=int(limits.min),
        high=int(limits.max),
    )
