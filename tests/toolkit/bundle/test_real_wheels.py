"""The real index, asked once: a bundle for linux-x86_64 installs and verifies itself."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys

import pytest

from mejiro.bundle import BundleOptions, TargetOptions, write_bundle
from mejiro.bundle.pip import Fit, versions
from mejiro.targets import load_target

SYSTEM = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.slow
def test_a_real_wheelhouse_installs_without_a_network_and_verifies(
    colour_model, colour_pictures, tmp_path, monkeypatch
) -> None:
    if platform.machine() != "x86_64" or os.confstr("CS_GNU_LIBC_VERSION") is None:
        pytest.skip("this machine is none that linux-x86_64 speaks of")
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path / "cache"))
    profile = load_target("linux-x86_64")
    if not versions("numpy", Fit.of(profile, profile.system(SYSTEM))):
        pytest.skip("no package index can be reached")
    options = BundleOptions(
        golden=colour_pictures(each=2), target=TargetOptions(profile, system=SYSTEM)
    )
    folder = write_bundle([colour_model()], tmp_path / "a bundle", options=options).folder
    names = {path.name.split("-")[0] for path in (folder / "wheels").glob("*.whl")}
    assert {"onnxruntime", "numpy", "opencv_python_headless", "mejiro_runtime"} <= names
    assert "ai_edge_litert" not in names  # nothing in the bundle is for it
    environment = {"PATH": os.environ["PATH"], "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    command = ["sh", str(folder / "install.sh"), "--python", sys.executable]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    env = done.stdout.splitlines()[-1]
    shown = subprocess.run(
        [f"{env}/bin/mejiro-run", "verify", str(folder), "--json"],
        env={**environment, "MEJIRO_CACHE": str(tmp_path / "verdicts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    verdict = json.loads(shown.stdout)
    assert verdict["passed"]
    assert verdict["artifacts"][0]["backend"]["engine"] == "onnxruntime"
    shutil.rmtree(env)
