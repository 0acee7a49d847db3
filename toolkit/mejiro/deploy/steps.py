"""Take a bundle to a device, step by step; what ran before runs until the new one is confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mejiro.deploy.bench import BenchOptions, DeviceReport, bench
from mejiro.deploy.bundle import DeployBundle
from mejiro.deploy.connection import Connection
from mejiro.deploy.gate import check_bench, told_by_service, watch_service
from mejiro.deploy.options import Clock, DeployOptions, Progress, Step
from mejiro.deploy.plan import Plan, clock_error_s, make_plan
from mejiro.deploy.upload import Uploaded, upload
from mejiro.deploy.url import DeviceUrl
from mejiro.errors import DeployError, RolledBack

BENCH_TIMEOUT_S = 1800.0
RETURN_TIMEOUT_S = 30.0

OnStep = Callable[[Progress], None]


@dataclass(frozen=True)
class Deployment:
    """Hold what a deploy did; `judgements` are of what was required, durations are seconds."""

    device: str
    plan: Plan
    release: str
    previous: str | None
    uploaded_bytes: int
    uploaded_files: int
    sent_bytes: int
    signed_by: str | None
    judgements: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            **vars(self),
            "plan": self.plan.to_json(),
            "judgements": list(self.judgements),
            "notes": list(self.notes),
        }


def plan_deploy(
    device: Connection | DeviceUrl | str,
    bundle: Path,
    options: DeployOptions | None = None,
    *,
    on_step: OnStep | None = None,
) -> Plan:
    """Return what `deploy` would do, after the same checks; nothing on the device is changed."""
    opened = DeployBundle.open(bundle)
    with _connected(device) as connection:
        return _Deploy(connection, opened, options or DeployOptions(), on_step).plan()


def deploy(
    device: Connection | DeviceUrl | str,
    bundle: Path,
    options: DeployOptions | None = None,
    *,
    on_step: OnStep | None = None,
    on_plan: Callable[[Plan], None] | None = None,
) -> Deployment:
    """Take the bundle in the folder `bundle` to a device, and return what was done.

    `device` is a URL or an open connection. `on_plan` gets the plan before anything is changed.
    Raises DeployError if the device does not take the bundle: then nothing has changed but
    that files were uploaded. Raises RolledBack if the new release failed on trial: then what ran
    before runs again.
    """
    opened = DeployBundle.open(bundle)
    with _connected(device) as connection:
        work = _Deploy(connection, opened, options or DeployOptions(), on_step)
        plan = work.plan()
        if on_plan is not None:
            on_plan(plan)
        return work.carry_out(plan)


def measure(
    device: Connection | DeviceUrl | str,
    bundle: Path,
    options: BenchOptions | None = None,
    *,
    on_step: OnStep | None = None,
) -> DeviceReport:
    """Bring a bundle to a device and run the runtime's benchmark of it there; nothing is switched.

    What runs there goes on, and takes its share of the device. A bundle whose wheels are there
    already needs its changed files alone. The next deploy or measurement removes it.
    """
    opened = DeployBundle.open(bundle)
    with _connected(device) as connection:
        work = _Deploy(connection, opened, DeployOptions(tune=False), on_step)
        release = work.bring(work.plan()).release
        return bench(connection, options, release=release)


@contextmanager
def _connected(device: Connection | DeviceUrl | str) -> Iterator[Connection]:
    with nullcontext(device) if isinstance(device, Connection) else Connection(device) as one:
        yield one


class _Brought(NamedTuple):
    """Hold what lies on the device, ready to be tried."""

    release: str
    previous: str | None
    signed_by: str | None
    uploaded: Uploaded


class _Deploy:
    """Hold one deploy while it goes on."""

    def __init__(
        self,
        connection: Connection,
        bundle: DeployBundle,
        options: DeployOptions,
        on_step: OnStep | None,
    ) -> None:
        self.connection, self.bundle, self.options = connection, bundle, options
        self._on_step = on_step or (lambda progress: None)
        self._device = connection.url.name
        self._sent_before = connection.sent_bytes
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = []
        self.judgements: list[dict[str, Any]] = []

    @contextmanager
    def _step(self, step: Step, text: str) -> Iterator[None]:
        start_s = time.monotonic()
        self._on_step(Progress(step, text))
        try:
            yield
        finally:
            self.seconds[step.value] = round(time.monotonic() - start_s, 3)

    def _tell(self, step: Step) -> Callable[[str], None]:
        return lambda line: self._on_step(Progress(step, line))

    def plan(self) -> Plan:
        """Look at the device, and return what will be done."""
        with self._step(Step.PROBE, "looking at the device"):
            facts = self.connection.call("probe")
            compared = self.connection.call("compare", manifest=self.bundle.manifest)
        plan = make_plan(self._device, self.bundle, facts, compared, self.options)
        self._check_port(facts["state"])
        return plan

    def _check_port(self, state: dict[str, Any]) -> None:
        service = self.options.service
        if service is None or service.listens is None:
            return
        host, port = service.listens
        running = (state["current"]["run"] or {}).get("arguments", [])
        if service.web not in running and not self.connection.call("port", host=host, port=port):
            raise DeployError(
                f"port {port} is taken on {self._device} by another program; end that, or name "
                "another port with --web"
            )

    def bring(self, plan: Plan) -> _Brought:
        """Take the lock, upload the bundle, and make its environment."""
        call = self.connection.call
        with self._step(Step.LOCK, "taking the lock"):
            locked = call("lock")
            if locked["undone"]:
                self.notes.append("an earlier deploy was cut off; its trial was undone")
            if self.options.clock is Clock.SET and clock_error_s(plan.facts):
                call("clock", seconds=time.time())
        with self._step(Step.UPLOAD, f"uploading {plan.upload_bytes / 1e6:.1f} MB"):
            begun, uploaded = self._upload()
        with self._step(Step.INSTALL, "making the environment"):
            call("install", release=begun["release"], on_line=self._tell(Step.INSTALL))
        previous = locked["state"]["current"]["release"]
        return _Brought(begun["release"], previous, begun["signed_by"], uploaded)

    def carry_out(self, plan: Plan) -> Deployment:
        """Do all that the plan says, and return what was done."""
        brought = self.bring(plan)
        release, uploaded = brought.release, brought.uploaded
        self._try_beside(release, plan)
        self._switch(release, plan)
        with self._step(Step.CONFIRM, "confirming"):
            self.connection.call("confirm")
        return Deployment(
            device=str(self.connection.url),
            plan=plan,
            release=release,
            previous=brought.previous,
            uploaded_bytes=uploaded.size_bytes,
            uploaded_files=uploaded.files,
            sent_bytes=self.connection.sent_bytes - self._sent_before,
            signed_by=brought.signed_by,
            judgements=tuple(self.judgements),
            notes=tuple(self.notes),
            seconds=self.seconds,
        )

    def _upload(self) -> tuple[dict[str, Any], Uploaded]:
        signers = self.options.signers
        begun = self.connection.call(
            "begin",
            manifest=self.bundle.manifest,
            sums=self.bundle.sums,
            signature=self.bundle.signature,
            signers=None if signers is None else signers.read_text(encoding="utf-8"),
        )

        def tell(done: int, total: int) -> None:
            text = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
            self._on_step(Progress(Step.UPLOAD, text, done, total))

        return begun, upload(self.connection, self.bundle, begun["missing"], on_bytes=tell)

    def _try_beside(self, release: str, plan: Plan) -> None:
        """Verify, tune and try the release beside the one that runs."""
        call = self.connection.call
        with self._step(Step.VERIFY, "replaying the golden frames"):
            call("verify", release=release)
        if self.options.tune:
            with self._step(Step.TUNE, "finding what runs fastest"):
                tuned = call("tune", release=release)
                if "failed" in tuned:
                    self.notes.append(f"it was not tuned: {tuned['failed']}")
        with self._step(Step.HEALTH, "running synthetic frames"):
            call("health", release=release)
        asked = [
            text
            for text, one in zip(self.options.require, self.options.requirements(), strict=True)
            if plan.run is None or not told_by_service(one)
        ]
        if asked:
            with self._step(Step.REQUIRE, f"measuring {', '.join(asked)}"):
                words = [word for text in asked for word in ("--require", text)]
                found = call("bench", release=release, words=words, timeout_s=BENCH_TIMEOUT_S)
                self.judgements += check_bench(found["report"])

    def _switch(self, release: str, plan: Plan) -> None:
        """Put the release on trial, and watch it; RolledBack if it is not well."""
        try:
            with self._step(Step.SWITCH, "switching"):
                state = self.connection.call("switch", release=release, run=plan.run)
            if plan.run is not None:
                with self._step(Step.GATE, "waiting for frames"):
                    asked = [one for one in self.options.requirements() if told_by_service(one)]
                    watched = watch_service(
                        self.connection,
                        state["generation"],
                        asked,
                        timeout_s=self.options.gate_timeout_s,
                        on_text=self._tell(Step.GATE),
                    )
                self.judgements += [one.to_json() for one in watched.judgements]
                # Where the live page is, and its token.
                self.notes += [line for line in watched.said if "http" in line]
        except DeployError as error:
            raise RolledBack(f"{error}; {_go_back(self.connection)}") from error


def _go_back(connection: Connection) -> str:
    try:
        return roll_back_trial(connection)
    except DeployError:
        return "the device goes back to what ran before by itself"


def roll_back_trial(connection: Connection) -> str:
    """Undo the trial on the device and return what runs there now, as the end of a sentence."""
    trial = connection.call("undo")
    if trial is None:
        return "nothing was switched"
    old = trial["old"]
    if old["release"] is None:
        return "rolled back: nothing ran before, so nothing runs now"
    if old["run"] is None:
        return f"rolled back to {old['release']}"
    end_s = time.monotonic() + RETURN_TIMEOUT_S
    while time.monotonic() < end_s:
        status = connection.call("service")
        if status.get("release") == old["release"] and status.get("frames"):
            return f"rolled back to {old['release']}, which runs again"
        time.sleep(0.2)
    return f"rolled back to {old['release']}, of which no frame has come yet"
