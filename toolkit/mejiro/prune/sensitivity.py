"""Measure what a cut costs where it counts: at the network's output.

The error that a cut makes in a layer says little of what becomes of it further on. So each group
is narrowed by itself, the layers behind it are solved anew, and the answers are compared with
those of the uncut network, on pictures that the layers were not solved on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mejiro.prune.consumers import Consumer
from mejiro.prune.graph import ChannelGraph
from mejiro.prune.judge import Judge
from mejiro.prune.reconstruct import (
    Moments,
    Problem,
    eliminate,
    made_up,
    silence_rows,
    solve,
)

Matrices = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Sensitivity:
    """Hold what a group's widths cost: `divergence[i]` is that of keeping `widths[i]` channels.

    Widths fall from the whole. The divergence is the mean over pictures of Kullback and Leibler's,
    in nats, of the cut network's probabilities from the uncut one's.
    """

    name: str
    widths: tuple[int, ...]
    divergence: tuple[float, ...]

    def at(self, width: int) -> float:
        """Return the divergence at `width`, between measured widths along a straight line."""
        return float(np.interp(width, self.widths[::-1], self.divergence[::-1]))


@dataclass(frozen=True, eq=False)
class Solved:
    """Hold one cut of a group: the channels that stay, and what its consumers become."""

    kept: NDArray[np.int64]
    matrices: Matrices
    shifts: Matrices


class Reconstruction:
    """Cut a group to any width and solve its consumers, from moments that were gathered once.

    `expected` holds the variance of each consumer's features that a norm promises; the ridge is
    `ridge` times that, or times what was seen where there is no promise. With `scores`,
    (channels,), those with the highest stay; without, those that the others cannot make up for.
    """

    def __init__(
        self,
        consumers: Sequence[Consumer],
        moments: Mapping[str, Moments],
        expected: Mapping[str, NDArray[np.float64] | None],
        *,
        ridge: float,
        scores: NDArray[np.float64] | None = None,
    ) -> None:
        self._scores = scores
        self.consumers = consumers
        self._moments = moments
        self._problems = {}
        for consumer in consumers:
            spread = moments[consumer.name].spread(consumer.shift is not None)
            promised = expected.get(consumer.name)
            variance = np.diag(spread) if promised is None else promised
            self._problems[consumer.name] = Problem(
                spread, consumer.matrix(), consumer.rows, ridge * variance
            )

    def solve(self, widths: Sequence[int], *, anew: bool = True) -> dict[int, Solved]:
        """Return the cut to each of `widths`; weights stay unless they are solved `anew`."""
        if self._scores is None:
            chosen = eliminate(list(self._problems.values()), widths)
        else:
            order = np.argsort(-self._scores, kind="stable")
            chosen = {width: np.sort(order[:width]) for width in widths}
        return {width: self._solved(kept, anew) for width, kept in chosen.items()}

    def _solved(self, kept: NDArray[np.int64], anew: bool) -> Solved:
        matrices, shifts = {}, {}
        for consumer in self.consumers:
            problem = self._problems[consumer.name]
            matrix = solve(problem, kept) if anew else silence_rows(problem, kept)
            matrices[consumer.name] = matrix
            if anew and consumer.shift is not None:
                seen = self._moments[consumer.name]
                shifts[consumer.name] = made_up(seen, problem.matrix, matrix)
        return Solved(kept, matrices, shifts)


def put(consumers: Sequence[Consumer], solved: Solved) -> None:
    """Put what was solved into the network."""
    for consumer in consumers:
        consumer.assign(solved.matrices[consumer.name])
        if consumer.shift is not None and consumer.name in solved.shifts:
            consumer.shift.add(solved.shifts[consumer.name])


@contextmanager
def restoring(graph: ChannelGraph) -> Iterator[None]:
    """Let the block change any weights; they come back after it."""
    before = [(layer, layer.get_weights()) for layer in graph.layers.values() if layer.weights]
    try:
        yield
    finally:
        for layer, weights in before:
            layer.set_weights(weights)


def measure_sensitivity(
    graph: ChannelGraph,
    reconstruction: Reconstruction,
    widths: Sequence[int],
    judge: Judge,
    *,
    name: str,
) -> Sensitivity:
    """Return what it costs to narrow one group to each of `widths`, which are below its own."""
    whole = graph.groups[name].channels
    rest = judge.behind(reconstruction.consumers)
    divergences = [0.0]
    for _, solved in sorted(reconstruction.solve(widths).items(), reverse=True):
        with restoring(graph):
            put(reconstruction.consumers, solved)
            divergences.append(rest())
    return Sensitivity(name, (whole, *sorted(widths, reverse=True)), tuple(divergences))
