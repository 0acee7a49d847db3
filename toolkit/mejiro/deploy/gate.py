"""Watch a service on trial until it is known to be well, or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mejiro.deploy.connection import Connection
from mejiro.errors import DeployError
from mejiro_runtime.requirements import QUANTITIES, Judgement, Requirement, Verdict

POLL_S = 0.25
GATE_FRAMES = 10
MAX_EXITS = 3
# What a running service tells; of the rest, a bench before the switch does.
SERVICE_QUANTITIES = {"fps"}


class Watched(NamedTuple):
    """Hold how the requirements fared, and the last lines that the run said."""

    judgements: list[Judgement]
    said: list[str]


def told_by_service(requirement: Requirement) -> bool:
    """Say whether a running service shows how a requirement fares."""
    if requirement.name in QUANTITIES:
        return requirement.name in SERVICE_QUANTITIES
    return requirement.name not in ("bare", "sink")


def watch_service(
    connection: Connection,
    generation: int,
    requirements: Sequence[Requirement],
    *,
    timeout_s: float,
    on_text: Callable[[str], None],
) -> Watched:
    """Wait until frames flow and all of `requirements` pass, and return how they did.

    DeployError as soon as one fails, the run has ended `MAX_EXITS` times without a frame, or the
    time is up.
    """
    end_s = time.monotonic() + timeout_s
    last = ""
    while True:
        status = connection.call("service")
        late = time.monotonic() > end_s
        if status.get("generation") == generation:
            last = str(status.get("last_error") or "")
            judged = _judge_service(status, requirements)
            if judged is not None:
                if all(one.verdict is Verdict.PASS for one in judged):
                    return Watched(judged, [str(line) for line in status["said"]])
                failed = [one for one in judged if one.verdict is Verdict.FAIL]
                if failed or late:
                    raise DeployError("; ".join(map(describe, failed or judged)))
            elif status["exits"] >= MAX_EXITS:
                raise DeployError(f"the service does not run: {last or 'it ends at once'}")
            on_text(f"{status['frames']} frames")
        if late:
            why = f": {last}" if last else ""
            raise DeployError(f"no {GATE_FRAMES} frames came out in {timeout_s:g} s{why}")
        time.sleep(POLL_S)


def _judge_service(
    status: dict[str, Any], requirements: Sequence[Requirement]
) -> list[Judgement] | None:
    """Return how the requirements fare by what the service told; None while frames do not flow."""
    import numpy as np

    from mejiro_runtime.latency import LatencyReport
    from mejiro_runtime.requirements import judge

    durations = {
        name: np.array(values, dtype=np.int64) for name, values in status["durations"].items()
    }
    if status["frames"] < GATE_FRAMES:
        return None
    steps = durations["step"]
    report = LatencyReport(
        frames=steps.size, elapsed_ns=int(steps.sum()), stages={}, durations=durations
    )
    return judge(requirements, report, live=True)


def describe(judgement: Judgement) -> str:
    """Return a judgement as a person reads it."""
    measured = "nothing" if judgement.measured is None else f"{judgement.measured:.4g}"
    unit = judgement.requirement.unit if judgement.measured is not None else ""
    return (
        f"{judgement.requirement} is {judgement.verdict.value}: {measured}{unit} measured "
        f"({judgement.why})"
    )


def check_bench(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how the requirements fared in a bench's report; DeployError unless all passed."""
    judged: list[dict[str, Any]] = report.get("requirements", [])
    bad = [one for one in judged if one["verdict"] != Verdict.PASS.value]
    if bad:
        told = "; ".join(
            f"{one['requirement']} is {one['verdict']}: {one['measured']}{one['unit']} measured "
            f"({one['why']})"
            for one in bad
        )
        raise DeployError(told)
    return judged
