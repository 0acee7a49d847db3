"""Describe N:M sparsity: of every M weights in a row along the inputs, at most N are kept.

Source: Zhou et al., "Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch"
(arXiv:2102.04010); 2:4 is what the sparse tensor cores of some GPUs compute with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import UsageError

_TEXT = re.compile(r"(\d{1,3}):(\d{1,3})")


@dataclass(frozen=True)
class Pattern:
    """Say that of each `group` neighbouring input channels at most `keep` weights differ from 0."""

    keep: int
    group: int

    def __post_init__(self) -> None:
        if not 0 < self.keep < self.group <= 64:
            raise UsageError(
                f"a pattern N:M keeps 1 or more of at most 64, and fewer than all; found {self}"
            )

    def __str__(self) -> str:
        return f"{self.keep}:{self.group}"

    @property
    def sparsity(self) -> float:
        """The share of zeros, where the channels divide by the group."""
        return 1 - self.keep / self.group

    def spared(self, kernel: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which weights of `kernel` (..., inputs, outputs) the pattern keeps: the largest.

        A last group of fewer channels keeps as many of them, so that no layer with few inputs
        loses all.
        """
        sizes = np.abs(kernel)
        inputs = kernel.shape[-2]
        missing = -inputs % self.group
        # What is filled up is smaller than any weight and falls away again.
        filled = np.pad(
            sizes, [(0, 0)] * (kernel.ndim - 2) + [(0, missing), (0, 0)], constant_values=-1.0
        )
        shape = (*kernel.shape[:-2], (inputs + missing) // self.group, self.group, kernel.shape[-1])
        groups = filled.reshape(shape)
        order = np.argsort(-groups, axis=-2, kind="stable")
        kept = np.zeros(shape, dtype=bool)
        np.put_along_axis(kept, order[..., : self.keep, :], True, axis=-2)
        whole: NDArray[np.bool_] = kept.reshape(filled.shape)[..., :inputs, :]
        return whole


def parse_pattern(text: str) -> Pattern:
    """Return what "N:M" means; raises UsageError."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"a pattern is written N:M, such as 2:4, found '{text}'")
    return Pattern(int(match[1]), int(match[2]))
