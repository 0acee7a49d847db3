from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro.prune.reconstruct import Moments, Problem, eliminate, made_up, silence_rows, solve

SAMPLES = 400


def problem_of(
    features: np.ndarray, outputs: int = 3, ridge: float = 0.0, taps: int = 1
) -> tuple[Moments, Problem]:
    rng = np.random.default_rng(1)
    moments = Moments.of(features)
    count = features.shape[1]
    channels = count // taps
    rows = np.arange(count).reshape(taps, channels).T
    spread = moments.spread(centred=True)
    matrix = rng.normal(size=(count, outputs))
    return moments, Problem(spread, matrix, rows, ridge * np.diag(spread))


def dependent(seed: int, count: int = 8, taps: int = 1) -> np.ndarray:
    """Return features of which the last channel's are sums of others', and a constant."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(SAMPLES, taps, count))
    maps[..., -1] = 2 * maps[..., 0] - maps[..., 1] + 5
    return maps.reshape(SAMPLES, -1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), taps=st.sampled_from([1, 3]))
def test_what_others_can_say_is_restored_exactly(seed: int, taps: int) -> None:
    features = dependent(seed, taps=taps)
    moments, problem = problem_of(features, taps=taps)
    kept = eliminate([problem], [7])[7]

    # Any of the three that depend on each other may go, and nothing else.
    assert set(range(8)) - set(kept.tolist()) <= {0, 1, 7}
    matrix = solve(problem, kept)
    term = made_up(moments, problem.matrix, matrix)
    np.testing.assert_allclose(
        features @ matrix + term, features @ problem.matrix, rtol=1e-5, atol=1e-4
    )
    assert not matrix[problem.rows[np.setdiff1d(np.arange(8), kept)]].any()


def test_the_solution_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(SAMPLES, 6)) @ rng.normal(size=(6, 6)) + 3
    _, problem = problem_of(features)
    kept = np.array([0, 2, 3, 5])
    with_one = np.hstack([features[:, kept], np.ones((SAMPLES, 1))])
    best, *_ = np.linalg.lstsq(with_one, features @ problem.matrix, rcond=None)

    np.testing.assert_allclose(solve(problem, kept)[kept], best[:-1], atol=1e-5)


def test_a_mean_that_nothing_makes_up_for_counts_too() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(SAMPLES, 5)) + 3
    moments, centred = problem_of(features)
    problem = Problem(moments.spread(centred=False), centred.matrix, centred.rows, np.zeros(5))
    kept = np.arange(4)
    best, *_ = np.linalg.lstsq(features[:, kept], features @ problem.matrix, rcond=None)

    np.testing.assert_allclose(solve(problem, kept)[kept], best, atol=1e-5)


def test_the_ridge_holds_the_weights_where_they_are() -> None:
    features = dependent(3)
    changes = []
    for ridge in (0.0, 0.1, 10.0):
        _, problem = problem_of(features, ridge=ridge)
        kept = np.arange(7)
        change = solve(problem, kept) - silence_rows(problem, kept)
        changes.append(np.abs(change).sum())

    assert changes[0] > changes[1] > changes[2] > 0


def test_fewer_channels_are_among_more_and_all_may_stay() -> None:
    rng = np.random.default_rng(0)
    _, problem = problem_of(rng.normal(size=(SAMPLES, 70)))
    chosen = eliminate([problem], [70, 30, 7])

    assert chosen[70].tolist() == list(range(70))
    assert set(chosen[7]) < set(chosen[30])
    np.testing.assert_array_equal(solve(problem, chosen[70]), problem.matrix)


def test_a_channel_that_one_of_two_consumers_needs_stays() -> None:
    rng = np.random.default_rng(0)
    _, one = problem_of(rng.normal(size=(SAMPLES, 4)))
    two = Problem(one.spread, one.matrix.copy(), one.rows, one.ridge)
    one.matrix[0] = two.matrix[1] = 0  # each of them ignores a channel that the other needs
    one.matrix[2] *= 0.01
    two.matrix[2] *= 0.01

    assert eliminate([one, two], [3])[3].tolist() == [0, 1, 3]
    assert eliminate([one], [3])[3].tolist() == [1, 2, 3]


@pytest.mark.parametrize("centred", [True, False])
def test_moments_of_parts_are_those_of_the_whole(centred: bool) -> None:
    features = np.random.default_rng(0).normal(size=(50, 4)) + 1
    parts = Moments.of(features[:20]) + Moments.of(features[20:])

    expected = np.cov(features.T, bias=True) if centred else features.T @ features / len(features)
    np.testing.assert_allclose(parts.spread(centred), expected, atol=1e-12)
