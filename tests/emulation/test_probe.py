"""An engine that takes the CPU for a newer one ends in the probe, not in the user's program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.emulation.device import Device, Options
from tests.emulation.fixtures import CACHE, DeviceMaker, skip_or_fail
from tests.emulation.needs import Unavailable
from tests.emulation.packages import SITE, make_site, python_path
from tests.emulation.root import python_of

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

BUNDLE = "/opt/bundle"
# Two engines for TFLite. The second has no kernels for newer CPUs, and needs numpy 1.
TWO_ENGINES = ("ai-edge-litert", "ml-dtypes==0.5.1", "numpy==1.26.4", "tflite-runtime==2.14.0")


def liar(maker: DeviceMaker, binds: dict[str, Path]) -> Device:
    """Return a device whose /proc/cpuinfo promises dot products that its CPU does not have."""
    return maker(Options("pi5", cpu="cortex-a72", binds=binds))


def verify(device: Device, *words: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of `mejiro-run verify` on the device."""
    command = ["env", f"PYTHONPATH={python_path()}", "python3", "-m", "mejiro_runtime", "verify"]
    done = device.run([*command, BUNDLE, "--threads", "1", *words], check=False)
    return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


def test_the_engine_is_refused_with_its_name_and_the_way_out(
    device_maker: DeviceMaker, equipment: dict[str, Path], model_fixtures: Path
) -> None:
    device = liar(device_maker, {**equipment, BUNDLE: model_fixtures / "bundle"})
    for backend, engine in (("litert", "ai-edge-litert"), ("onnxruntime", "onnxruntime")):
        code, output, errors = verify(device, "--backend", backend)
        assert (code, output) == (1, "")
        assert f"mejiro-run: error: {engine} " in errors
        assert "was killed by SIGILL when it tried colours-int8" in errors
        assert "pass --allow-fallback" in errors
        assert errors.count("\n") == 1
    # There is no other engine to fall back to, so being allowed to changes nothing.
    assert verify(device, "--backend", "litert", "--allow-fallback")[0] == 1
    device.reset()


def test_the_next_engine_is_taken_only_as_allowed(
    device_maker: DeviceMaker,
    device_root: Path,
    equipment: dict[str, Path],
    model_fixtures: Path,
) -> None:
    try:
        site = make_site(CACHE, python_of(device_root), TWO_ENGINES)
    except Unavailable as error:
        skip_or_fail(error)
    binds = {**equipment, SITE: site, BUNDLE: model_fixtures / "bundle"}
    device = liar(device_maker, binds)
    code, _, errors = verify(device, "--artifact", "colours-int8.tflite")
    assert code == 1
    assert "ai-edge-litert" in errors
    assert "SIGILL" in errors
    words = ("--artifact", "colours-int8.tflite", "--allow-fallback", "--json")
    code, output, errors = verify(device, *words)
    assert (code, errors) == (0, "")
    (found,) = json.loads(output)["artifacts"]
    assert found["backend"]["engine"] == "tflite-runtime"
    assert "SIGILL" in found["backend"]["fallback"]
    assert found["passed"]
    device.reset()
