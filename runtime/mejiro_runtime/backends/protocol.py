"""Say what every inference engine must offer, and how one is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mejiro_runtime.errors import UsageError
from mejiro_runtime.preprocess import TensorInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray


class BackendInfo(NamedTuple):
    """Say what really runs a model, as opposed to what was asked for.

    `accelerator` is the delegate or provider that took the model's operators. `fallback` says
    why this is not what was asked for; it is None when it is.
    """

    name: str
    engine: str
    version: str
    accelerator: str
    threads: int
    requested: str
    fallback: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "engine": self.engine,
            "version": self.version,
            "accelerator": self.accelerator,
            "threads": self.threads,
            "requested": self.requested,
            "fallback": self.fallback,
        }

    def __str__(self) -> str:
        threads = f"{self.threads} thread" + ("" if self.threads == 1 else "s")
        text = f"{self.engine} {self.version}, {self.accelerator}, {threads}"
        return f"{text} (FALLBACK: {self.fallback})" if self.fallback else text


@dataclass(frozen=True)
class BackendRequest:
    """Hold what the user asked for: ``NAME`` or ``NAME:VARIANT``, and a number of threads.

    The variants that a backend knows stand in its module; an empty one leaves it the choice.
    """

    name: str
    variant: str = ""
    threads: int = 1
    allow_fallback: bool = False

    def __str__(self) -> str:
        return f"{self.name}:{self.variant}" if self.variant else self.name

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= 256:
            raise UsageError(f"threads must be 1 to 256, found {self.threads}")


class Backend(Protocol):
    """Run one loaded model. Not safe for use by two threads at once."""

    info: BackendInfo
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    def infer(self, *tensors: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Return the outputs for one array per input, in the order of `inputs`.

        The arrays must have the shapes and dtypes of `inputs`; the outputs are the caller's.
        """
        ...

    def borrow_input(self) -> NDArray[Any]:
        """Return the memory of the first input, for its only user to fill.

        Let go of the array, and of every view of it, before `run`: the engine may move it.
        """
        ...

    def run(self, count: int = 1) -> tuple[NDArray[Any], ...]:
        """Return the first `count` outputs for what the inputs hold; they are the caller's."""
        ...

    def invoke(self) -> None:
        """Run the engine once more on the last tensors: its bare cost, for comparison."""
        ...

    def close(self) -> None:
        """Give back the engine's memory; the backend is of no use afterwards."""
        ...
