"""Kill deploys at every step, and count how often the old version runs and the next deploy works.

A stand-in bundle (deploy_stand_in.py) runs as a service of this machine. Each run begins a deploy
of another bundle (every other round with another launcher too, as after an upgrade) and ends it by
one of three ways, at one of its steps, after a random share of the time that the step takes:

* host: SIGKILL to the process that deploys;
* agent: SIGKILL to the agent;
* cut: SIGKILL to what carries the bytes between them (programs/relay_ssh.py, in place of ssh).

Then the launcher is asked what it runs, until frames come out. That must be the old release, unless
the new one had been confirmed before the kill (then that one). Afterwards the same bundle is
deployed again, and must run.

    python benchmarks/deploy_kill.py [--quick] [--out FILE]
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from deploy_stand_in import release_of, write_stand_in

from mejiro.deploy import Connection, DeployOptions, ServiceOptions, Status, Step, deploy, status
from mejiro.deploy import uninstall as uninstall_from

RUNS, QUICK_RUNS = 200, 12
WAYS = ("host", "agent", "cut")
STEPS = tuple(step for step in Step if step not in (Step.CONNECT, Step.PLAN, Step.REQUIRE))
BACK_TIMEOUT_S = 30.0
# About what the steps of a stand-in take; a kill comes at a random share of that.
STEP_SECONDS = {Step.UPLOAD: 0.05, Step.LOCK: 0.01, Step.PROBE: 0.05, Step.CONFIRM: 0.005}
OTHER_SECONDS = 0.35
BLOB_BYTES = 3_000_000


@dataclass(frozen=True)
class Outcome:
    """Hold what became of one killed deploy."""

    way: str
    step: str
    reached: bool
    confirmed: bool
    old_runs: bool
    next_works: bool
    back_s: float


@contextlib.contextmanager
def stand_in_ssh(folder: Path) -> Iterator[None]:
    """Put the relay on PATH as `ssh`."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "ssh"
    relay = harness.FOLDER / "programs" / "relay_ssh.py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{relay}" "$@"\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before


def begin_deploy(url: str, bundle: Path, *, upgrade: bool) -> subprocess.Popen[str]:
    """Start a deploy in a process of its own; with `upgrade`, it brings another launcher too."""
    program = harness.FOLDER / "programs" / "deploy_once.py"
    return subprocess.Popen(
        [sys.executable, str(program), url, str(bundle), *(["new"] if upgrade else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def kill_at(process: subprocess.Popen[str], way: str, step: Step, wait_s: float) -> bool:
    """Kill what `way` names when `step` has begun `wait_s` ago; return whether it was reached."""
    if process.stdout is None:
        raise SystemExit("the deploy was started without a pipe")
    first = process.stdout.readline().strip()
    victim = {"host": process.pid, "agent": int(first or 0)}.get(way) or children_of(process.pid)[0]
    reached = False
    for line in process.stdout:
        if line.strip() == step.value:
            reached = True
            break
    time.sleep(wait_s)
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    process.kill()
    process.wait()
    process.stdout.close()
    return reached


def wait_for_frames(url: str, wanted: set[str]) -> tuple[Status, float]:
    """Ask until frames of one of the `wanted` releases come out and no trial goes on."""
    start_s = time.monotonic()
    with Connection(url) as connection:
        while True:
            found = status(connection)
            well = found.running and bool(found.frames) and not found.on_trial
            waited_s = time.monotonic() - start_s
            if (well and found.release in wanted) or waited_s > BACK_TIMEOUT_S:
                return found, waited_s
            time.sleep(0.1)


def kill_once(
    root: Path, folder: Path, way: str, step: Step, share: float, *, upgrade: bool = False
) -> Outcome:
    """Kill one deploy to `root`, whose service runs; then deploy again."""
    local = f"local:{root}"
    with Connection(local) as connection:
        old = status(connection).release or ""
    blob = random.Random(f"{folder} {time.time_ns()}").randbytes(BLOB_BYTES)
    # Slow enough that the gate takes a while, in which the new release is on trial.
    slow = {"frame_s": "0.03"}
    more = {"wheels/unique": blob[:64]}
    bundle = write_stand_in(folder, model=blob, behaviour=slow, more=more)
    url = "ssh://stand-in" if way == "cut" else local
    process = begin_deploy(url, bundle, upgrade=upgrade)
    reached = kill_at(process, way, step, share * STEP_SECONDS.get(step, OTHER_SECONDS))
    new = release_of(bundle)
    found, back_s = wait_for_frames(local, {old, new})
    confirmed = found.release == new
    link = (root / "current").resolve().name
    well = found.running and bool(found.frames) and not found.on_trial and link == found.release
    old_runs = well and (found.release == old or step in (Step.GATE, Step.CONFIRM))
    options = DeployOptions(service=ServiceOptions(source="synthetic:64x48"), gate_timeout_s=30)
    deploy(local, bundle, options)
    after, _ = wait_for_frames(local, {new})
    next_works = after.release == new and bool(after.frames)
    return Outcome(way, step.value, reached, confirmed, old_runs, next_works, back_s)


def prepared(folder: Path) -> Path:
    """Return the root of a device on which a first release runs; `HOME` is there too."""
    home = folder / "home"
    home.mkdir()
    os.environ["HOME"] = str(home)  # a URL of ssh names no folder: ~/mejiro
    root = home / "mejiro"
    first = write_stand_in(folder / "first")
    options = DeployOptions(service=ServiceOptions(source="synthetic:64x48"), gate_timeout_s=30)
    deploy(f"local:{root}", first, options)
    return root


def main() -> None:
    options = harness.parse_arguments(__doc__)
    count = QUICK_RUNS if options.quick else RUNS
    draw = random.Random(6)
    cases = [(WAYS[n % 3], STEPS[n // 3 % len(STEPS)], draw.random()) for n in range(count)]
    outcomes: list[Outcome] = []
    folder = Path(tempfile.mkdtemp(prefix="deploy-kill-"))
    try:
        root = prepared(folder)
        with stand_in_ssh(folder / "bin"):
            for number, (way, step, share) in enumerate(cases):
                upgrade = number // len(WAYS) // len(STEPS) % 2 == 1
                outcomes.append(kill_once(root, folder / "new", way, step, share, upgrade=upgrade))
                harness.show_progress(number + 1, count)
        with Connection(f"local:{root}") as connection:
            uninstall_from(connection)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(options, outcomes)


def report(options: Any, outcomes: list[Outcome]) -> None:
    """Print and write the counts."""
    count = len(outcomes)
    share = {
        "old version runs / killed deploys": sum(one.old_runs for one in outcomes),
        "next deploy works / killed deploys": sum(one.next_works for one in outcomes),
        "step was reached / killed deploys": sum(one.reached for one in outcomes),
    }
    ratios = [
        harness.ratio(name, [good], [count], limit=1.0, lower_is_better=False)
        for name, good in share.items()
    ]
    confirmed = [one for one in outcomes if one.confirmed]
    bad = [one for one in outcomes if not (one.old_runs and one.next_works)]
    told = (
        f"{len(confirmed)} kills came after the new release had been confirmed, so that it is "
        f"what must run; it did in {sum(one.old_runs for one in confirmed)}"
    )
    # What a share of all says of the next kills (Clopper and Pearson 1934).
    bound = (
        f"{count} of {count} says, with 95% confidence, that at least {0.05 ** (1 / count):.1%} do"
    )
    by_step = Counter(f"{one.way} {one.step}" for one in outcomes)
    rounds = {
        "seconds until frames of the right release": {
            way: [one.back_s for one in outcomes if one.way == way] for way in WAYS
        },
    }
    harness.report(
        options,
        ratios,
        settings={"runs": count, "by way and step": dict(sorted(by_step.items()))},
        rounds=rounds,
        notes=[told, *([] if bad else [bound]), *(f"failed: {one}" for one in bad)],
    )


if __name__ == "__main__":
    main()
