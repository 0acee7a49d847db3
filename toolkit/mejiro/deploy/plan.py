"""Say what a deploy will do, or in one line why it cannot."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from mejiro.deploy.bundle import DeployBundle
from mejiro.deploy.gate import told_by_service
from mejiro.deploy.options import Clock, DeployOptions, Manager, Step
from mejiro.deploy.wheels import Machine, why_not_installable
from mejiro.errors import DeployError

MAX_CLOCK_DIFFERENCE_S = 24 * 3600
MARGIN_BYTES = 50_000_000
# Bytes on the disk by bytes of wheels: 3.07 was measured for LiteRT 2.3, OpenCV 5.0, numpy 2.4.
UNPACKED = 3.5


@dataclass(frozen=True)
class Plan:
    """Hold what a deploy will do; `notes` are what a user should know beforehand.

    `run` is how the service will run: the words of ``mejiro-run run``, and what keeps it running.
    """

    device: str
    bundle: str
    release: str
    facts: dict[str, Any]
    upload_bytes: int
    upload_files: int
    reused_files: int
    builds_environment: bool
    replaces: str | None
    run: dict[str, Any] | None
    steps: tuple[Step, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            **{name: value for name, value in vars(self).items() if name not in ("steps", "notes")},
            "steps": [step.value for step in self.steps],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """Return the plan as people read it."""
        facts = self.facts
        what = facts["board"] or facts["system"] or "a Linux machine"
        room = f"{_size(facts['memory_bytes'])} memory, {_size(facts['free_bytes'])} free"
        new = f"{self.upload_files} files, {_size(self.upload_bytes)}"
        environment = "build from the bundle's wheels" if self.builds_environment else "is there"
        runs = "none; the bundle is installed, and nothing is started"
        if self.run is not None:
            runs = f"{' '.join(self.run['arguments'])} (by {self.run['manager']})"
        return [
            f"{self.device}: {what}, {facts['machine']}, Python {facts['python']}, {room}",
            f"  release      {self.release} ({self.bundle}) in {facts['root']}",
            f"  replaces     {self.replaces or 'nothing'}",
            f"  upload       {new}; {self.reused_files} are there",
            f"  environment  {environment}",
            f"  steps        {', '.join(step.value for step in self.steps)}",
            f"  service      {runs}",
            *(f"  note: {note}" for note in self.notes),
        ]


def make_plan(
    device: str,
    bundle: DeployBundle,
    facts: dict[str, Any],
    compared: dict[str, Any],
    options: DeployOptions,
) -> Plan:
    """Return the plan; DeployError with what to do where the device cannot take the bundle.

    `facts` is the agent's probe, `compared` what it has of the bundle.
    """
    offsets = {one["path"]: one["offset"] for one in compared["missing"]}
    upload_bytes = sum(bundle.sizes[path] - offset for path, offset in offsets.items())
    builds = not compared["has_environment"]
    check_fits(device, bundle, facts)
    _check_room(device, facts, upload_bytes, bundle.wheel_bytes if builds else 0)
    notes = _check_clock(device, facts, options.clock)
    facts = dict(facts)
    state = facts.pop("state")
    # A service that runs goes on as it was started, with the new release.
    run = state["current"]["run"]
    if options.service is not None:
        _check_source(device, facts, options.service.source)
        manager, more = choose_manager(device, facts, options.service.manager)
        run = {"arguments": options.service.arguments(), "manager": manager}
        notes += more
    return Plan(
        device=device,
        bundle=bundle.name,
        release=compared["release"],
        facts=facts,
        upload_bytes=upload_bytes,
        upload_files=len(offsets),
        reused_files=len(bundle.sizes) - len(offsets),
        builds_environment=builds,
        replaces=state["current"]["release"],
        run=run,
        steps=_steps(options, gate=run is not None),
        notes=tuple(notes),
    )


def _steps(options: DeployOptions, *, gate: bool) -> tuple[Step, ...]:
    left_out = {Step.CONNECT, Step.PROBE, Step.PLAN, Step.LOCK}
    if not options.tune:
        left_out.add(Step.TUNE)
    if all(gate and told_by_service(one) for one in options.requirements()):
        left_out.add(Step.REQUIRE)
    if not gate:
        left_out.add(Step.GATE)
    return tuple(step for step in Step if step not in left_out)


def check_fits(device: str, bundle: DeployBundle, facts: dict[str, Any]) -> None:
    """Raise DeployError unless the device can install the bundle's wheels and be written to."""
    if not bundle.has_installer:
        raise DeployError(
            f"{bundle.folder} has no install.sh, so it carries no wheels for a device; write it "
            "again with `mejiro bundle --target NAME`"
        )
    python, glibc = _version(facts["python"]), facts["glibc"]
    machine = Machine(facts["machine"], python, None if glibc is None else _version(glibc))
    reason = why_not_installable(bundle.wheels, machine)
    if reason is not None:
        raise DeployError(
            f"{device} cannot run this bundle: {reason}; write one for it with "
            "`mejiro bundle --target NAME` (`mejiro targets` lists the names)"
        )
    if facts["writable"] is not None:
        raise DeployError(
            f"{facts['root']} on {device} cannot be written ({facts['writable']}); remount or free "
            "the disk, or name another folder with --root"
        )


def _check_source(device: str, facts: dict[str, Any], source: str) -> None:
    """Raise DeployError for a camera of Linux on a phone, which has none for its programs."""
    if Manager.TERMUX_BOOT.value in facts["managers"] and source.startswith(("camera:", "/dev/")):
        raise DeployError(
            f"Android on {device} gives its cameras to apps, and {source} is none; name what to "
            "look at with --source: http://127.0.0.1:8080/video of an app that serves the camera, "
            "termux:0 for photos, or a folder of pictures"
        )


def _check_room(device: str, facts: dict[str, Any], upload_bytes: int, wheel_bytes: int) -> None:
    needed = round(upload_bytes + UNPACKED * wheel_bytes) + MARGIN_BYTES
    if facts["free_bytes"] < needed:
        raise DeployError(
            f"{device} has {_size(facts['free_bytes'])} free in {facts['root']}, this deploy needs "
            f"about {_size(needed)}; free some, or name a folder on another disk with --root"
        )


def clock_error_s(facts: dict[str, Any]) -> float:
    """Return how far the device's clock is ahead if that matters, else 0."""
    difference_s = float(facts["clock"] - time.time())
    return difference_s if abs(difference_s) > MAX_CLOCK_DIFFERENCE_S else 0.0


def _check_clock(device: str, facts: dict[str, Any], clock: Clock) -> list[str]:
    """Return a note on a clock that is wrong; DeployError unless that was allowed.

    Log times and the validity of signing keys hang on it. A Raspberry Pi without network starts
    at the time it was last switched off.
    """
    difference_s = clock_error_s(facts)
    if not difference_s:
        return []
    days = abs(difference_s) / 86400
    told = f"the clock of {device} is {days:.0f} days {'ahead' if difference_s > 0 else 'behind'}"
    if clock is Clock.REFUSE:
        raise DeployError(
            f"{told}; set it there (`sudo date -s`), let the deploy do so (--clock set), or say "
            "that it does not matter (--clock ignore)"
        )
    return [f"{told}; it will be set" if clock is Clock.SET else told]


def choose_manager(device: str, facts: dict[str, Any], asked: Manager) -> tuple[str, list[str]]:
    """Return what will keep the service running, and what to know about that."""
    found: dict[str, str | None] = facts["managers"]
    if asked is not Manager.AUTO:
        why = found.get(asked.value, "it is no Termux")
        if why is not None:
            raise DeployError(
                f"{device} cannot run the service by {asked.value}: {why}; allow it there, or "
                "leave the choice to the deploy with --manager auto"
            )
        name = asked.value
    else:
        name = next(name for name in found if found[name] is None)
    if name in (Manager.TERMUX_SERVICES.value, Manager.TERMUX_BOOT.value):
        return name, _notes_on_termux(found)
    if name == Manager.DETACHED.value:
        return name, ["no systemd can be used, so the service will not start again after a reboot"]
    if name == Manager.SYSTEMD_USER.value:
        note = (
            f"the service is the user's own ({found[Manager.SYSTEMD.value]}); it starts at boot "
            f"only if the user lingers: `sudo loginctl enable-linger {facts['user']}`"
        )
        return name, [note]
    return name, []


def _notes_on_termux(found: dict[str, str | None]) -> list[str]:
    """Return what to know about a service on a phone, as far as nobody can find it out there."""
    boot = "after a reboot the service starts only where the app Termux:Boot was opened once"
    rights = "Android may end the service unless Termux may use the battery without restriction"
    notes = [boot, rights]
    why = found.get(Manager.TERMUX_SERVICES.value)
    if why is not None:
        notes.append(f"nothing starts the service again if Android ends it: {why}")
    return notes


def _version(text: str) -> tuple[int, int]:
    major, minor, *_ = text.split(".")
    return int(major), int(minor)


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "unknown"
    if size_bytes < 100_000:
        return f"{size_bytes / 1e3:.1f} kB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 1e9 else f"{size_bytes / 1e9:.1f} GB"
