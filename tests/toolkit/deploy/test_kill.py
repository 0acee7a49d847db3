"""A few of the kills that benchmarks/deploy_kill.py repeats 200 times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mejiro.deploy import DeployOptions, ServiceOptions, Step, deploy
from mejiro_agent.root import Root

WriteBundle = Callable[..., Path]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "step"),
    [
        ("host", Step.UPLOAD),
        ("agent", Step.INSTALL),
        ("cut", Step.SWITCH),
        ("host", Step.GATE),
        ("agent", Step.GATE),
    ],
)
def test_the_old_version_runs_after_a_kill_and_the_next_deploy_works(
    deploy_kill: Any,
    write_bundle: WriteBundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: Root,
    way: str,
    step: Step,
) -> None:
    # A URL of ssh names no folder, so the device is where `~` is.
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mejiro").symlink_to(device.folder)
    device.folder.mkdir()
    service = ServiceOptions(source="synthetic:64x48")
    deploy(f"local:{device.folder}", write_bundle(), DeployOptions(service=service))
    with deploy_kill.stand_in_ssh(tmp_path / "ssh"):
        found = deploy_kill.kill_once(device.folder, tmp_path / "new", way, step, 0.3)
    assert found.reached
    assert found.old_runs
    assert found.next_works
