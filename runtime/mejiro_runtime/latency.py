"""Gather timings into a report: by stage, the percentiles that users feel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mejiro_runtime.types import Timing

if TYPE_CHECKING:
    from numpy.typing import NDArray

STAGES = ("capture", "preprocess", "infer", "postprocess", "sink", "frame_to_label", "age")


class Distribution(NamedTuple):
    """Hold percentiles of one stage's durations, in nanoseconds.

    A percentile is a duration that was measured: the smallest one that at least that share of
    the frames did not exceed (nearest rank).
    """

    count: int  # type: ignore[assignment]
    p50_ns: int
    p90_ns: int
    p95_ns: int
    p99_ns: int
    max_ns: int

    @classmethod
    def of(cls, durations_ns: Sequence[int] | NDArray[np.int64]) -> Distribution:
        """Summarise at least one duration."""
        values = np.sort(np.asarray(durations_ns, dtype=np.int64))
        p50, p90, p95, p99 = (
            int(values[max(0, int(np.ceil(share * values.size)) - 1)])
            for share in (0.5, 0.9, 0.95, 0.99)
        )
        return cls(int(values.size), p50, p90, p95, p99, int(values[-1]))

    def to_json(self) -> dict[str, int]:
        """Return plain JSON values."""
        return {
            "count": self.count,
            "p50_ns": self.p50_ns,
            "p90_ns": self.p90_ns,
            "p95_ns": self.p95_ns,
            "p99_ns": self.p99_ns,
            "max_ns": self.max_ns,
        }


class LatencyRecorder:
    """Collect the timings of the newest `capacity` frames; memory does not grow."""

    def __init__(self, capacity: int = 16_384) -> None:
        self._ring = np.zeros((capacity, len(STAGES)), dtype=np.int64)
        self.count = 0

    def add(self, timing: Timing, sink_ns: int) -> None:
        """Add one frame's timing and what showing it cost."""
        self._ring[self.count % len(self._ring)] = (
            timing.capture_ns,
            timing.preprocess_ns,
            timing.infer_ns,
            timing.postprocess_ns,
            sink_ns,
            timing.frame_to_label_ns,
            timing.age_ns,
        )
        self.count += 1

    def durations(self) -> dict[str, NDArray[np.int64]]:
        """Return the nanoseconds of each stage, one for each frame that is kept."""
        kept = self._ring[: min(self.count, len(self._ring))]
        return {stage: kept[:, column] for column, stage in enumerate(STAGES)}

    def summary(self) -> dict[str, Distribution]:
        """Return the distribution of each stage; empty before the first frame."""
        if not self.count:
            return {}
        return {stage: Distribution.of(values) for stage, values in self.durations().items()}


class LatencyReport(NamedTuple):
    """Hold what one run measured. All durations are nanoseconds.

    `stages` is steady state only; `bare` is the engine called again on the tensors it holds,
    interleaved with the frames; `dropped` counts frames by cause. `outages` counts how often the
    source was lost, and `outage_ns` is how long it gave nothing, in all. `durations` are what the
    distributions are made of, and by ``step`` what each frame took of the whole time; they are
    for requirements, and no part of the JSON.
    """

    frames: int
    elapsed_ns: int
    stages: dict[str, Distribution]
    load_ns: int | None = None
    first_infer_ns: int | None = None
    warmup_frames: int = 0
    steady: bool = True
    bare: Distribution | None = None
    dropped: Mapping[str, int] = MappingProxyType({})
    peak_memory_bytes: int | None = None
    durations: Mapping[str, NDArray[np.int64]] = MappingProxyType({})
    outages: int = 0
    outage_ns: int = 0

    @property
    def frames_per_second(self) -> float:
        """Frames finished by the second, over the whole run."""
        return self.frames / (self.elapsed_ns / 1e9) if self.elapsed_ns else 0.0

    @property
    def overhead(self) -> float | None:
        """Median frame-to-label time by median bare engine time; None if not measured."""
        if self.bare is None or "frame_to_label" not in self.stages:
            return None
        return self.stages["frame_to_label"].p50_ns / self.bare.p50_ns

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "frames": self.frames,
            "elapsed_ns": self.elapsed_ns,
            "frames_per_second": round(self.frames_per_second, 3),
            "load_ns": self.load_ns,
            "first_infer_ns": self.first_infer_ns,
            "warmup_frames": self.warmup_frames,
            "steady": self.steady,
            "stages": {stage: value.to_json() for stage, value in self.stages.items()},
            "bare_engine": self.bare and self.bare.to_json(),
            "overhead": self.overhead and round(self.overhead, 4),
            "dropped": dict(self.dropped),
            "outages": self.outages,
            "outage_ns": self.outage_ns,
            "peak_memory_bytes": self.peak_memory_bytes,
        }
