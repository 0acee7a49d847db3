"""Solve a layer anew on the channels that stay, so that it gives what it gave before.

Where some of the features x that a layer sums up are taken away, the rest can stand in for them
as far as they go together. With S the covariance of the features over pictures and places, W the
layer's matrix, K the features that stay and R those that go, the weights with the smallest
expected square of the change of the outputs are

    W_K + (S_KK + L)^-1 S_KR W_R,

where L, the ridge, is diagonal: what each feature may be thought to vary besides what the pictures
showed of it. It holds the weights where they are as far as few pictures say little. Means are made
up for by the bias. Sources: He et al., "Channel Pruning for Accelerating Very Deep Neural
Networks", ICCV 2017 (arXiv:1707.06168); Luo et al., "ThiNet", ICCV 2017 (arXiv:1707.06342).

Which channels go is decided by the same sums: the one goes whose loss the others can best make up
for, then the next, and so on, with S's inverse brought up to date. Source: Hassibi and Stork,
"Second Order Derivatives for Network Pruning: Optimal Brain Surgeon", NIPS 1992.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

# The part of all channels that is taken out before the rest are judged anew.
_AT_ONCE = 64
_FLOOR = 1e-9


@dataclass(frozen=True, eq=False)
class Moments:
    """Hold what was seen of a consumer's features: `count` of them, `sums` (n,), `squares` (n, n).

    `squares` is the sum of the products of every two features. Two of these can be added.
    """

    count: int
    sums: Matrix
    squares: Matrix

    @classmethod
    def of(cls, features: NDArray[np.floating[Any]]) -> Moments:
        """Return the moments of features (samples, n)."""
        return cls(
            len(features),
            features.sum(axis=0, dtype=np.float64),
            (features.T @ features).astype(np.float64),
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count, self.sums + other.sums, self.squares + other.squares
        )

    @property
    def mean(self) -> Matrix:
        """The mean of each feature, (n,)."""
        return self.sums / self.count

    def spread(self, centred: bool) -> Matrix:
        """Return the covariance, or the mean products where nothing can make up for a mean."""
        spread = self.squares / self.count
        return spread - np.outer(self.mean, self.mean) if centred else spread


@dataclass(frozen=True, eq=False)
class Problem:
    """Hold one consumer's part in the choice of channels.

    `spread` is (n, n), `matrix` (n, outputs), `rows` (channels, k) the features of each channel,
    `ridge` (n,) what stands on the diagonal besides.
    """

    spread: Matrix
    matrix: Matrix
    rows: NDArray[np.int64]
    ridge: Matrix

    def stiffened(self) -> Matrix:
        """Return the spread with the ridge on its diagonal, never singular."""
        stiff: Matrix = self.spread.copy()
        stiff[np.diag_indices_from(stiff)] += self.ridge
        # Features that go together exactly are no rarity.
        floor = _FLOOR * max(float(np.diag(stiff).mean()), np.finfo(np.float64).tiny)
        stiff[np.diag_indices_from(stiff)] += floor
        return stiff

    def scale(self) -> float:
        """Return the variance of the outputs, summed: what losses are measured by."""
        energy = float((self.matrix * (self.spread @ self.matrix)).sum())
        return max(energy, float(np.finfo(np.float64).tiny))


def solve(problem: Problem, kept: NDArray[np.int64]) -> Matrix:
    """Return the matrix (n, outputs) for the channels `kept`; rows of others are zero."""
    gone = np.setdiff1d(np.arange(len(problem.rows)), kept)
    lost = problem.rows[gone].ravel()
    # Features of no channel of this group, as after a concatenation, stay and may help.
    stay = np.setdiff1d(np.arange(len(problem.matrix)), lost)
    stiff = problem.stiffened()
    solved: Matrix = problem.matrix.copy()
    solved[lost] = 0.0
    if lost.size:
        right = problem.spread[np.ix_(stay, lost)] @ problem.matrix[lost]
        solved[stay] += np.linalg.solve(stiff[np.ix_(stay, stay)], right)
    return solved


def silence_rows(problem: Problem, kept: NDArray[np.int64]) -> Matrix:
    """Return the matrix with zeros for the channels that go, and nothing to make up for them."""
    gone = np.setdiff1d(np.arange(len(problem.rows)), kept)
    silent: Matrix = problem.matrix.copy()
    silent[problem.rows[gone].ravel()] = 0.0
    return silent


def made_up(moments: Moments, before: Matrix, after: Matrix) -> Matrix:
    """Return what to add to each output so that its mean is what it was, (outputs,)."""
    term: Matrix = moments.mean @ (before - after)
    return term


def eliminate(problems: Sequence[Problem], counts: Collection[int]) -> dict[int, NDArray[np.int64]]:
    """Return which channels stay for each of `counts`, sorted; fewer are among those of more.

    Channels go a few at a time, those whose loss changes the outputs least after the others have
    made up for it, summed over the consumers in shares of their outputs' variance.
    """
    states = [_State(problem) for problem in problems]
    alive = np.arange(len(problems[0].rows))
    at_once = max(1, len(alive) // _AT_ONCE)
    chosen = {}
    for count in sorted(counts, reverse=True):
        while len(alive) > count:
            losses = np.sum([state.losses() for state in states], axis=0)
            number = min(at_once, len(alive) - count)
            going = np.sort(np.argsort(losses, kind="stable")[:number])
            for state in states:
                state.remove(going)
            alive = np.delete(alive, going)
        chosen[count] = alive
    return chosen


class _State:
    """Hold the inverse of a spread and the weights, as channels go.

    `_inverse` is that of the spread over what is left, `_rows` where each channel's features are
    in it.
    """

    def __init__(self, problem: Problem) -> None:
        self._inverse = np.linalg.inv(problem.stiffened())
        self._matrix = problem.matrix / np.sqrt(problem.scale())
        self._rows = problem.rows

    def losses(self) -> Matrix:
        """Return for each channel that is left what its going adds to the loss."""
        matrix = self._matrix[self._rows]  # (channels, k, outputs)
        if self._rows.shape[1] == 1:
            single = self._rows[:, 0]
            alone: Matrix = np.square(matrix[:, 0]).sum(axis=1) / self._inverse[single, single]
            return alone
        blocks = self._inverse[self._rows[:, :, None], self._rows[:, None, :]]
        losses: Matrix = (matrix * np.linalg.solve(blocks, matrix)).sum(axis=(1, 2))
        return losses

    def remove(self, going: NDArray[np.int64]) -> None:
        """Take channels out, by their places among those that are left."""
        out = np.sort(self._rows[going].ravel())
        left = np.setdiff1d(np.arange(len(self._inverse)), out)
        between = self._inverse[np.ix_(left, out)]
        block = self._inverse[np.ix_(out, out)]
        made = np.linalg.solve(block, np.hstack([self._matrix[out], between.T]))
        outputs = self._matrix.shape[1]
        self._matrix = self._matrix[left] - between @ made[:, :outputs]
        self._inverse = self._inverse[np.ix_(left, left)] - between @ made[:, outputs:]
        self._rows = np.searchsorted(left, np.delete(self._rows, going, axis=0))
