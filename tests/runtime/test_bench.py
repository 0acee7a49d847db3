"""A measurement begins when the engine is warm, and tells all it left out."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from mejiro_runtime import bench
from mejiro_runtime.bench import (
    BLOCK_FRAMES,
    MAX_WARMUP_FRAMES,
    STEADY_WINDOW,
    Warmup,
    measure,
)
from mejiro_runtime.errors import SourceError
from mejiro_runtime.model import Model
from mejiro_runtime.sources.synthetic import SyntheticSource
from mejiro_runtime.types import Frame, PixelOrder, Result, Timing

MS = 1_000_000


def warm(durations: list[int]) -> Warmup:
    warmup = Warmup()
    warmup.durations_ns = durations
    return warmup


def test_nothing_is_steady_before_two_windows() -> None:
    assert not warm([]).steady
    assert not warm([MS] * (2 * STEADY_WINDOW - 1)).steady
    assert warm([MS] * (2 * STEADY_WINDOW)).steady


@pytest.mark.parametrize(("later", "steady"), [(96, True), (105, True), (94, False), (106, False)])
def test_steady_means_within_five_hundredths(later: int, steady: bool) -> None:
    window = [100 * MS] * STEADY_WINDOW
    assert warm([*window, *[later * MS] * STEADY_WINDOW]).steady is steady


def test_one_slow_frame_does_not_upset_a_median() -> None:
    window = [100] * (STEADY_WINDOW - 1)
    assert warm([*window, 900, 5, *window]).steady


def test_only_the_last_two_windows_count() -> None:
    assert warm([900, 800, 700, 600] * 5 + [100] * 2 * STEADY_WINDOW).steady


class Counted:
    """Give `count` frames without pixels, live or not."""

    description = "counted frames"

    def __init__(self, count: int, *, live: bool = False) -> None:
        self.count, self.live = count, live
        self.skipped: list[str] = []

    def frames(self) -> Iterator[Frame]:
        for index in range(self.count):
            yield Frame(None, PixelOrder.BGR, index, captured_ns=0, capture_ns=0)  # type: ignore[arg-type]

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, *reason: object) -> None:
        return None


class Timed:
    """Stand in for a model: frame number n takes `durations[n]`, the last one from then on."""

    def __init__(self, durations: list[int]) -> None:
        self.durations = durations
        self.events: list[str] = []
        self.backend = SimpleNamespace(invoke=lambda: self.events.append("bare"))

    def __call__(self, frame: Frame) -> Result:
        self.events.append("frame")
        infer = self.durations[min(frame.index, len(self.durations) - 1)]
        return Result(frame.index, "", (), Timing(7, 1, infer, 2, infer + 10))


def run(source: Any, model: Any, **options: Any) -> Any:
    return measure(source, model, **options)


def test_frames_are_counted_after_the_warm_up() -> None:
    model = Timed([50 * MS] * 4 + [MS])
    seen: list[tuple[int, int]] = []
    report = run(
        Counted(1000), model, frames=30, load_ns=5, on_progress=lambda *done: seen.append(done)
    )
    assert report.frames == 30
    assert report.steady
    assert report.warmup_frames == 2 * STEADY_WINDOW
    assert report.first_infer_ns == 50 * MS
    assert report.load_ns == 5
    # The slow frames were warm-up, all of them.
    assert report.stages["infer"].max_ns == MS
    assert report.stages["capture"].p50_ns == 7
    assert report.stages["frame_to_label"].p50_ns == MS + 3
    assert seen == [(i, 30) for i in range(1, 31)]
    assert report.elapsed_ns > 0
    assert report.peak_memory_bytes is None or report.peak_memory_bytes > 0
    assert report.dropped == {}


def test_an_engine_that_never_settles_is_measured_and_says_so() -> None:
    report = run(Counted(1000), Timed([MS * (1 + i) for i in range(900)]), frames=10)
    assert not report.steady
    assert report.warmup_frames == MAX_WARMUP_FRAMES
    assert report.frames == 10


def test_the_bare_engine_takes_turns_with_the_frames() -> None:
    model = Timed([MS])
    report = run(Counted(1000), model, frames=2 * BLOCK_FRAMES)
    block = ["frame"] * BLOCK_FRAMES + ["bare"] * BLOCK_FRAMES
    assert model.events == ["frame"] * 2 * STEADY_WINDOW + block + block
    assert report.bare is not None
    assert report.bare.count == 2 * BLOCK_FRAMES


def test_too_few_frames_for_a_block_still_measure_the_bare_engine() -> None:
    model = Timed([MS])
    report = run(Counted(1000), model, frames=3)
    assert model.events[-BLOCK_FRAMES:] == ["bare"] * BLOCK_FRAMES
    assert report.bare.count == BLOCK_FRAMES


def test_a_live_source_is_not_kept_waiting_for_the_bare_engine() -> None:
    model = Timed([MS])
    with SyntheticSource(8, 8) as pictures:
        pictures.live = True
        report = run(_Reopened(pictures), model, frames=2 * BLOCK_FRAMES)
    first_bare = model.events.index("bare")
    assert set(model.events[first_bare:]) == {"bare"}
    assert report.bare.count == BLOCK_FRAMES


class _Reopened:
    """Let a source that is open already be used by a pipeline."""

    def __init__(self, source: Any) -> None:
        self.live, self.description, self.skipped = source.live, source.description, source.skipped
        self.frames = source.frames

    def __enter__(self) -> _Reopened:
        return self

    def __exit__(self, *reason: object) -> None:
        return None


@pytest.mark.parametrize("count", [0, 1, 2 * STEADY_WINDOW - 1])
def test_a_source_that_ends_in_the_warm_up_is_too_short(count: int) -> None:
    with pytest.raises(SourceError, match=f"counted frames ended after {count} frames, too few"):
        run(Counted(count), Timed([MS]), frames=10)


def test_a_source_that_ends_with_the_warm_up_is_too_short() -> None:
    with pytest.raises(SourceError, match="ended in the warm-up"):
        run(Counted(2 * STEADY_WINDOW), Timed([MS]), frames=10)


def test_a_source_that_ends_early_gives_a_report_of_fewer_frames() -> None:
    report = run(Counted(2 * STEADY_WINDOW + 4), Timed([MS]), frames=10)
    assert report.frames == 4
    assert report.stages["infer"].count == 4


def test_frames_dropped_in_the_warm_up_do_not_count(monkeypatch) -> None:
    class Dropping(bench.Pipeline):
        """Say that a frame was dropped with each one that is seen."""

        seen = 0

        @property
        def dropped(self) -> dict[str, int]:
            return {"a newer frame came": self.seen}

        def steps(self, limit: int | None = None) -> Iterator[Any]:
            for step in super().steps(limit):
                self.seen += 1
                yield step

    monkeypatch.setattr(bench, "Pipeline", Dropping)
    report = run(Counted(1000), Timed([MS]), frames=10)
    assert report.dropped == {"a newer frame came": 10}


def test_a_real_pipeline_is_measured(handmade) -> None:
    model = Model(handmade.card(), handmade.backend())
    report = measure(SyntheticSource(40, 30), model, frames=25)
    assert report.frames == 25
    assert report.overhead is not None
    stages = report.stages
    parts = [stages[name].p50_ns for name in ("preprocess", "infer", "postprocess")]
    assert all(part > 0 for part in parts)
    assert stages["frame_to_label"].max_ns >= max(parts)
    assert stages["age"].max_ns >= stages["frame_to_label"].p50_ns
