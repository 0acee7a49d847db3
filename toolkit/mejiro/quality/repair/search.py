"""Go through the steps of a repair until a file meets both budgets."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from mejiro.errors import ExportError
from mejiro.quality.repair.bench import Bench
from mejiro.quality.repair.budget import Attempt, Budget, Candidate, NotTried, Plan, Record
from mejiro.quality.repair.steps import Step
from mejiro_runtime.errors import BackendError

PLAIN = "plain"


def search(bench: Bench, steps: Mapping[str, Step]) -> Record:
    """Return the record of a search that ends with the first file that meets both budgets.

    If none does, what is kept is the one that lost the fewest points of those that are fast
    enough, or of all if none is.
    """
    means = bench.means
    attempts: list[Attempt] = []
    found = _note(attempts, bench.attempt(PLAIN, Plan()), means.budget)
    for name, step in steps.items():
        if found is not None:
            break
        found = _take(name, step, bench, attempts)
    kept = found or _least_bad(bench)
    attempts = [_settled(one, kept, met=found is not None) for one in attempts]
    scoring = means.scoring
    return Record(
        budget=means.budget,
        data=scoring.data,
        pictures=len(scoring.pictures),
        float_top1=bench.float_top1,
        attempts=tuple(attempts),
        met=found is not None,
    )


def _take(name: str, step: Step, bench: Bench, attempts: list[Attempt]) -> Candidate | None:
    """Try the plans of one step in turn; return the first candidate that meets both budgets."""
    begun = time.monotonic()
    try:
        for plan in step(bench):
            if isinstance(plan, NotTried):
                attempts.append(Attempt(name, None, f"not tried: {plan.why}", 0.0))
                continue
            candidate = bench.attempt(name, plan)
            # With what the step needed to come to its plan.
            candidate = replace(candidate, seconds=time.monotonic() - begun)
            if _note(attempts, candidate, bench.means.budget) is not None:
                return candidate
            begun = time.monotonic()
    except (BackendError, ExportError) as error:
        # What cannot be made, or made a file that does not run, is no reason to give up the rest.
        seconds = time.monotonic() - begun
        attempts.append(Attempt(name, None, f"not tried: {error}", seconds))
    return None


def _note(attempts: list[Attempt], candidate: Candidate, budget: Budget) -> Candidate | None:
    """Add a candidate to the record; return it if it meets both budgets."""
    verdict, fits = _judge(candidate, budget)
    attempts.append(Attempt(candidate.step, candidate, verdict, candidate.seconds))
    return candidate if fits else None


def _judge(candidate: Candidate, budget: Budget) -> tuple[str, bool]:
    if not budget.allows_drop(candidate.lost):
        worst = min(candidate.top1, key=lambda kind: candidate.top1[kind])
        return f"loses too much ({worst.value})", False
    if candidate.pace is None or not budget.allows_time(candidate.pace):
        return "too slow", False
    return "meets both budgets", True


def _least_bad(bench: Bench) -> Candidate:
    """Return the candidate that lost the fewest points of those that are fast enough, or of all."""
    for candidate in sorted(bench.candidates, key=lambda one: one.lost):
        timed = bench.timed(candidate)
        if timed.pace is not None and bench.means.budget.allows_time(timed.pace):
            return bench.complete(timed)
    return bench.complete(bench.timed(bench.best))


def _settled(attempt: Attempt, kept: Candidate, *, met: bool) -> Attempt:
    """Return the line of the record with whether its candidate was kept."""
    one = attempt.candidate
    if one is None or one.plan is not kept.plan:
        return attempt
    verdict = attempt.verdict if met else f"{attempt.verdict}, but the best of all"
    return replace(attempt, candidate=kept, kept=True, verdict=verdict)
