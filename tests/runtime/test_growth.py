"""A run that goes on and on takes no more memory for it.

Measured in a process of its own: that of the tests holds other things, which come and go.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from mejiro_runtime.latency import LatencyRecorder
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import Pipeline, Policy
from mejiro_runtime.sensors import read_sensors
from mejiro_runtime.sources.synthetic import SyntheticSource
from tests.runtime.conftest import ColourBackend, simulated_card

WARM_FRAMES, FRAMES = 1_000, 12_000
ALLOWED_BYTES = 2_000_000
CHILD = """
import sys
sys.path[:] = sys.argv[1].split("\\n")
from tests.runtime.test_growth import growth_bytes
print(growth_bytes(sys.argv[2], overlap=sys.argv[3] == "True", fps=float(sys.argv[4])))
"""


def growth_bytes(policy: str, *, overlap: bool, fps: float) -> int:
    """Return by how much a run has grown since its thousandth frame; `fps` 0 means no pace."""
    model, recorder = Model(simulated_card(), ColourBackend()), LatencyRecorder()
    before = 0
    source = SyntheticSource(16, 12, fps or None)
    with Pipeline(source, model, policy=Policy(policy), overlap=overlap) as pipeline:
        for number, step in enumerate(pipeline.steps(FRAMES)):
            recorder.add(step.result.timing, step.sink_ns)
            if number == WARM_FRAMES:
                gc.collect()
                before = read_sensors().memory_bytes or 0
    gc.collect()
    if recorder.count != FRAMES:
        raise SystemExit(f"{recorder.count} frames came of {FRAMES}")
    return (read_sensors().memory_bytes or 0) - before


@pytest.mark.parametrize(
    ("policy", "overlap", "fps"),
    [(Policy.EVERY, False, 0.0), (Policy.EVERY, True, 0.0), (Policy.NEWEST, False, 9999.0)],
)
def test_nothing_grows(policy: Policy, overlap: bool, fps: float) -> None:
    if read_sensors().memory_bytes is None:
        pytest.skip("this system does not tell what memory a process holds")
    root = str(Path(__file__).resolve().parents[2])
    words = ["\n".join([*sys.path, root]), policy.value, str(overlap), str(fps)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= ALLOWED_BYTES
