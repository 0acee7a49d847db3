"""Ten devices, of which one is off and one is full: eight are done, and the two are named."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mejiro_runtime.files import sha256_of
from tests.emulation.device import Options
from tests.emulation.fixtures import DeviceMaker

pytestmark = [pytest.mark.slow, pytest.mark.emulated]

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# Room for an agent and its log, not for the model.
FULL_HOME_BYTES = 2_000_000
MODEL_BYTES = 3_000_000


def write_bundle(folder: Path) -> Path:
    """Write a stand-in for a bundle, which needs nothing but Python on a device."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        stand_in: Any = importlib.import_module("deploy_stand_in")
    finally:
        sys.path.remove(str(BENCHMARKS))
    written: Path = stand_in.write_stand_in(
        folder, model=bytes(MODEL_BYTES), target="raspberry-pi-4"
    )
    return written


def test_eight_of_ten_are_done_and_two_are_reported(
    tmp_path: Path, device_maker: DeviceMaker
) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    devices = [device_maker(Options("pi4")) for _ in range(9)]
    devices.append(device_maker(Options("pi4", home_bytes=FULL_HOME_BYTES)))
    off, full = devices[4], devices[9]
    inventory = "".join(f'[hosts.{one.name}]\nurl = "ssh://{one.name}"\n' for one in devices)
    (tmp_path / "fleet.toml").write_text(inventory, encoding="utf-8")
    config = "".join(one.ssh_config.read_text(encoding="utf-8") for one in devices)
    (tmp_path / "ssh_config").write_text(config, encoding="utf-8")
    off.stop()

    words = ["fleet", "deploy", str(bundle), "--inventory", str(tmp_path / "fleet.toml")]
    words += ["--ssh-config", str(tmp_path / "ssh_config"), "--canary", "1", "--parallel", "5"]
    done = subprocess.run(
        [sys.executable, "-m", "mejiro", *words, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    states = {host["name"]: host for host in report["hosts"]}
    bad = {name: host["reason"] for name, host in states.items() if host["status"] != "done"}
    assert set(bad) == {off.name, full.name}
    assert "has 2.0 MB free" in bad[full.name]
    assert all(name in done.stderr for name in bad)
    release = sha256_of(bundle / "manifest.json")[:16]
    for one in devices:
        if one not in (off, full):
            assert one.read("readlink mejiro/current") == f"releases/{release}"
    assert full.run("test -e mejiro/current", check=False).returncode == 1
