from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mejiro.deploy import Clock, DeployOptions, Manager, Plan, ServiceOptions, Step
from mejiro.deploy.bundle import DeployBundle
from mejiro.deploy.plan import make_plan
from mejiro.errors import DeployError, UsageError

WriteBundle = Callable[..., Path]
WHEEL = {"wheels/a-1-cp311-cp311-manylinux_2_28_aarch64.whl": bytes(1000)}
SERVICE = DeployOptions(service=ServiceOptions())


def _facts(**changes: Any) -> dict[str, Any]:
    return {
        "host": "kitchen",
        "user": "pi",
        "board": "Raspberry Pi 5 Model B Rev 1.0",
        "machine": "aarch64",
        "system": "Debian GNU/Linux 12 (bookworm)",
        "glibc": "2.36",
        "python": "3.11.2",
        "memory_bytes": 8_000_000_000,
        "clock": time.time(),
        "root": "/home/pi/mejiro",
        "writable": None,
        "free_bytes": 20_000_000_000,
        "managers": {"systemd": None, "systemd-user": None, "detached": None},
        "state": {"current": {"release": None, "run": None}},
        **changes,
    }


@pytest.fixture
def plan(write_bundle: WriteBundle) -> Callable[..., Plan]:
    """Return a function that plans a deploy to a Raspberry Pi with other facts than its own."""
    bundle = DeployBundle.open(write_bundle(more=WHEEL))

    def make(options: DeployOptions | None = None, *, ready: bool = False, **changes: Any) -> Plan:
        missing = [{"path": "models/m.onnx", "offset": 3, "sha256": ""}]
        compared = {"release": "f" * 16, "missing": missing, "has_environment": ready}
        return make_plan("kitchen", bundle, _facts(**changes), compared, options or DeployOptions())

    return make


def test_the_plan_says_what_will_be_done(plan: Callable[..., Plan]) -> None:
    found = plan(SERVICE)
    assert found.upload_bytes == len(b"a model") - 3
    assert found.run == {"arguments": ["--source", "camera:0"], "manager": "systemd"}
    assert found.steps[-3:] == (Step.SWITCH, Step.GATE, Step.CONFIRM)
    assert found.notes == ()
    text = "\n".join(found.lines())
    assert "Raspberry Pi 5" in text
    assert "build from the bundle's wheels" in text
    assert found.to_json()["steps"][0] == "upload"


def test_without_a_service_nothing_is_watched(plan: Callable[..., Plan]) -> None:
    found = plan(DeployOptions(tune=False))
    assert found.run is None
    assert not {Step.GATE, Step.TUNE, Step.REQUIRE} & set(found.steps)


def test_a_service_that_runs_goes_on_as_it_was_started(plan: Callable[..., Plan]) -> None:
    run = {"arguments": ["--source", "camera:3"], "manager": "detached"}
    found = plan(state={"current": {"release": "a" * 16, "run": run}})
    assert found.run == run
    assert found.replaces == "a" * 16
    assert Step.GATE in found.steps


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"machine": "armv7l"}, "is for aarch64, the device is armv7l"),
        ({"python": "3.13.5"}, "is for cp311, the device has Python 3.13"),
        ({"glibc": "2.17"}, "needs glibc 2.28"),
        ({"glibc": None}, "another C library"),
        ({"writable": "/home/pi: Read-only file system"}, "Read-only file system"),
        ({"free_bytes": 10_000_000}, "has 10.0 MB free"),
        ({"clock": 1e9}, "days behind"),
        ({"clock": 4e9}, "days ahead"),
    ],
)
def test_a_device_that_does_not_fit_is_told_in_one_line(
    plan: Callable[..., Plan], changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(DeployError, match=told) as error:
        plan(SERVICE, **changes)
    assert "kitchen" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bundle_without_an_installer_is_refused(
    plan: Callable[..., Plan], write_bundle: WriteBundle
) -> None:
    bundle = DeployBundle.open(write_bundle("whole"))
    bare = DeployBundle(**{**vars(bundle), "sizes": {"models/m.onnx": 7}})
    with pytest.raises(DeployError, match="mejiro bundle --target"):
        make_plan("kitchen", bare, _facts(), {"missing": [], "has_environment": True}, SERVICE)


def test_a_wrong_clock_may_be_set_or_borne(plan: Callable[..., Plan]) -> None:
    for clock, told in ((Clock.SET, "it will be set"), (Clock.IGNORE, "behind")):
        assert told in plan(DeployOptions(clock=clock), clock=1e9).notes[0]


def test_an_environment_that_is_there_needs_no_room(plan: Callable[..., Plan]) -> None:
    assert not plan(ready=True, free_bytes=50_001_000).builds_environment


def test_the_best_manager_is_taken_and_its_limits_told(plan: Callable[..., Plan]) -> None:
    no_sudo = {"systemd": "sudo demands a password", "systemd-user": None, "detached": None}
    found = plan(SERVICE, managers=no_sudo)
    assert found.run is not None
    assert found.run["manager"] == "systemd-user"
    assert "enable-linger pi" in found.notes[0]
    found = plan(SERVICE, managers={**no_sudo, "systemd-user": "there is no systemctl"})
    assert found.run is not None
    assert found.run["manager"] == "detached"
    assert "not start again after a reboot" in found.notes[0]
    asked = DeployOptions(service=ServiceOptions(manager=Manager.SYSTEMD))
    with pytest.raises(DeployError, match="sudo demands a password"):
        plan(asked, managers=no_sudo)


@pytest.mark.parametrize("web", ["8080", "host:", "host:0", "host:99999", "host:x"])
def test_a_page_needs_an_address(web: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        DeployOptions(service=ServiceOptions(web=web))


def test_options_that_mean_nothing_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="is no requirement"):
        DeployOptions(require=("quick",))
    with pytest.raises(UsageError, match="above 0"):
        DeployOptions(gate_timeout_s=0)
