"""Give a recurrent model its own outputs back with the next picture of a stream."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.backends import Backend, TensorInfo
from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def picture_place(card: ArtifactCard, inputs: tuple[TensorInfo, ...]) -> int:
    """Return which of `inputs` takes the picture: the one that `card.state` does not name.

    Raises ModelError unless there is exactly one.
    """
    named = {given for given, _ in card.state}
    left = [place for place, value in enumerate(inputs) if value.name not in named]
    if len(left) != 1:
        names = ", ".join(inputs[place].name for place in left)
        more = f" beside its {len(named)} of state" if named else ""
        raise ModelError(
            f"{card.file} has {len(left)} inputs ({names}){more}, one is expected; "
            "adopt it again and name its state"
        )
    return left[0]


def answers(card: ArtifactCard, outputs: tuple[Any, ...], names: list[str]) -> tuple[Any, ...]:
    """Return those of `outputs`, called `names`, that are not given back: what there is to read."""
    kept = {made for _, made in card.state}
    return tuple(one for one, name in zip(outputs, names, strict=True) if name not in kept)


class Memory:
    """Hold what the inputs of `card.state` are given next: zero at first, then outputs."""

    def __init__(self, card: ArtifactCard, backend: Backend) -> None:
        self._backend = backend
        self._picture = picture_place(card, backend.inputs)
        places = {value.name: place for place, value in enumerate(backend.outputs)}
        inputs = {value.name: place for place, value in enumerate(backend.inputs)}
        self._links: list[tuple[int, int]] = []
        for given, made in card.state:
            if given not in inputs or made not in places:
                raise ModelError(
                    f"{card.file} has no input '{given}' or no output '{made}', as its card says; "
                    "adopt it again"
                )
            self._links.append((inputs[given], places[made]))
            _check_alike(card.file, backend.inputs[inputs[given]], backend.outputs[places[made]])
        self._places = answers(card, tuple(range(len(places))), list(places))
        self._tensors: list[NDArray[Any]] = []
        self.reset()

    def reset(self) -> None:
        """Begin a stream anew: every input of state stands for zero."""
        self._tensors = [_zero(value) for value in self._backend.inputs]

    def infer(self, tensor: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Return the outputs for one picture, but those of state: they are given back later."""
        self._tensors[self._picture] = tensor
        outputs = self._backend.infer(*self._tensors)
        for given, made in self._links:
            self._tensors[given] = outputs[made]
        return tuple([outputs[place] for place in self._places])


def _zero(value: TensorInfo) -> NDArray[Any]:
    stored = 0 if value.quantization is None else value.quantization.zero_point
    return np.full(value.shape, stored, dtype=value.dtype)


def _check_alike(file: str, given: TensorInfo, made: TensorInfo) -> None:
    """Raise ModelError unless what `made` stores means the same in `given`."""
    same = given.shape == made.shape and given.dtype == made.dtype and min(given.shape) > 0
    one, other = given.quantization, made.quantization
    if one is not None and other is not None:
        same = same and one.zero_point == other.zero_point
        same = same and isclose(one.scale, other.scale, rel_tol=1e-6)
    elif one is not other:
        same = False
    if not same:
        raise ModelError(
            f"{file} gives {made.name} as {made.dtype} {list(made.shape)} and takes it back in "
            f"{given.name} as {given.dtype} {list(given.shape)}; they must be alike: export it "
            "with equal shapes and scales"
        )
