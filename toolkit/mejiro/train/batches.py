"""Put training pictures in order and into batches: the same ones for the same seed, at any step.

An epoch's order depends on the seed, the phase and the epoch alone, so that a run which goes on
after an interruption sees what it would have seen.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.train.settings import Balance


def epoch_order(
    truth: NDArray[np.int32], *, seed: int, phase: int, epoch: int, balance: Balance
) -> NDArray[np.int64]:
    """Return the places of the pictures that one epoch shows, in their order.

    Each picture once; with Balance.SAMPLE as many, drawn so that each class that has pictures
    comes as often as any other.
    """
    rng = np.random.default_rng((seed, phase, epoch))
    if balance is not Balance.SAMPLE:
        return rng.permutation(len(truth)).astype(np.int64)
    counts = np.bincount(truth)
    chance = 1.0 / counts[truth] / np.count_nonzero(counts)
    return rng.choice(len(truth), size=len(truth), p=chance).astype(np.int64)


def batch_count(pictures: int, batch_size: int) -> int:
    """Return the number of batches that `pictures` make."""
    return -(-pictures // batch_size)


def batches(
    order: NDArray[np.int64], batch_size: int, *, skip: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Yield the places of each batch of `order` after the first `skip` ones.

    The batches are alike in size, to one picture, and at most `batch_size`: a last batch of a
    picture or two would weigh as much as all others.
    """
    yield from np.array_split(order, batch_count(len(order), batch_size))[skip:]


def class_weights(truth: NDArray[np.int32], classes: int, balance: Balance) -> NDArray[np.float32]:
    """Return each class's weight in the loss; over all pictures their mean is 1."""
    weights = np.ones(classes, dtype=np.float32)
    if balance is Balance.WEIGHTS:
        counts = np.bincount(truth, minlength=classes)
        there = counts > 0
        weights[there] = len(truth) / (there.sum() * counts[there])
    return weights


def take(rows: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """Return a copy of the rows at `places`.

    Of a memory map they are read in the order in which they lie in the file, and no page of it
    stays in this process: the system keeps what it has room for, and memory does not grow with
    the number of pictures.
    """
    if not isinstance(rows, np.memmap):
        return rows[places]
    taken = np.empty((len(places), *rows.shape[1:]), dtype=rows.dtype)
    for place in np.argsort(places, kind="stable"):
        taken[place] = rows[places[place]]
    base: Any = rows.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
    return taken
