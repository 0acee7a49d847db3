"""Draw a demonstration's latency: by stage, and frame by frame."""

from __future__ import annotations

from mejiro.demo.results import DemoResult
from mejiro.report.elements import Figure
from mejiro.report.numbers import milliseconds
from mejiro.report.plots import SERIES_COLOURS, Series, StackedBar, plot_histogram, plot_stages

# Stage -> colour of the palette, in the order in which a frame meets them.
STAGE_COLOURS = {"preprocess": "sky", "infer": "leaf", "postprocess": "clay"}
MARK = "bare engine"


def stage_bars(result: DemoResult) -> list[StackedBar]:
    """Return the medians of the stages of each artifact and of float."""
    return [
        StackedBar(
            name=one.name,
            parts={stage: one.stages[stage]["p50_ns"] for stage in STAGE_COLOURS},
            mark_ns=one.bench["bare_engine"]["p50_ns"],
            note=f"{milliseconds(one.stages['frame_to_label']['p50_ns'])} ms",
        )
        for one in result.everything
    ]


def stages_figure(result: DemoResult) -> Figure:
    """Return the stages of each artifact as stacked bars."""
    return plot_stages(
        stage_bars(result),
        STAGE_COLOURS,
        mark=MARK,
        caption="Medians of each stage; the number behind a bar is the median of the whole, "
        "which need not be their sum.",
    )


def histogram_figure(result: DemoResult) -> Figure:
    """Return what each frame of the video took, by artifact."""
    series = [
        Series(one.name, one.video.frame_to_label_ns(), colour)
        for one, colour in zip(result.artifacts, SERIES_COLOURS, strict=False)
        if one.video is not None
    ]
    return plot_histogram(
        series,
        what="frame to label",
        caption="Every frame of the video, the first ones included: no warm-up went before. "
        "Decoding the video is not counted, but takes turns with what is.",
    )
