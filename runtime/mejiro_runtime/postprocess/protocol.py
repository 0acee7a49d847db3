"""Say what every task's reader must offer: from raw outputs to what was seen in the frame.

Types alone, and what only a verification makes: no start pays for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mejiro_runtime.types import Classification, Detection, Segmentation

# What `Result` holds as top, boxes and mask. A plain tuple: one is made for each frame.
Findings: TypeAlias = (
    "tuple[tuple[Classification, ...], tuple[Detection, ...] | None, Segmentation | None]"
)


class Gap(NamedTuple):
    """Say how far golden outputs are from those recorded.

    `size` is in the reader's `unit`, and 0 if they are equal; `values` of `total` differ.
    `answer` says in words what other answer a user would see, if it is another.
    """

    size: float
    values: int
    total: int
    answer: str = ""


class Reader(Protocol):
    """Read the outputs of one open model. Not safe for use by two threads at once.

    `count` is how many outputs it takes, from the first on; `remembers` says that an answer
    depends on the frames before; `unit` names what tolerances are measured in.
    """

    count: int
    remembers: bool
    unit: str

    def read(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> Findings:
        """Return what is in a frame of `height` x `width` pixels; raises ModelError."""
        ...

    def reset(self) -> None:
        """Forget the frames before."""
        ...

    def record(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> NDArray[Any]:
        """Return what a bundle keeps of a golden frame: one array."""
        ...

    def fits(self, recorded: NDArray[Any]) -> bool:
        """Say whether `recorded` may have been returned by `record`."""
        ...

    def compare(self, made: NDArray[Any], recorded: NDArray[Any]) -> Gap:
        """Return how far one record is from another."""
        ...

    def margin(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> float:
        """Return how decided the answer is: larger for better golden frames."""
        ...
