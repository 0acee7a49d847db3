"""A run that goes on and on takes no more memory for it."""

from __future__ import annotations

import gc

import pytest

from mejiro_runtime.latency import LatencyRecorder
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import Pipeline, Policy
from mejiro_runtime.sensors import read_sensors
from mejiro_runtime.sources.synthetic import SyntheticSource

WARM_FRAMES, FRAMES = 1_000, 12_000
ALLOWED_BYTES = 2_000_000


@pytest.mark.parametrize(
    ("policy", "overlap", "fps"),
    [(Policy.EVERY, False, None), (Policy.EVERY, True, None), (Policy.NEWEST, False, 9999.0)],
)
def test_nothing_grows(handmade, policy: Policy, overlap: bool, fps: float | None) -> None:
    if read_sensors().memory_bytes is None:
        pytest.skip("this system does not tell what memory a process holds")
    model, recorder = Model(handmade.card(), handmade.backend()), LatencyRecorder()
    before = 0
    source = SyntheticSource(16, 12, fps)
    with Pipeline(source, model, policy=policy, overlap=overlap) as pipeline:
        for number, step in enumerate(pipeline.steps(FRAMES)):
            recorder.add(step.result.timing, step.sink_ns)
            if number == WARM_FRAMES:
                gc.collect()
                before = read_sensors().memory_bytes or 0
    gc.collect()
    after = read_sensors().memory_bytes or 0
    assert recorder.count == FRAMES
    assert after - before <= ALLOWED_BYTES
