"""Draw a demonstration as one picture: what was seen, and how long it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mejiro.data.samples import read_sample
from mejiro.demo.figures import MARK, STAGE_COLOURS, stage_bars
from mejiro.demo.results import DemoResult, SceneResult
from mejiro.demo.words import quality_words
from mejiro.report.numbers import megabytes, milliseconds, percent
from mejiro.report.palette import light
from mejiro.report.pictures import crop_to
from mejiro.report.plots import draw_stages, legend_of
from mejiro.report.svg import POINTS_PER_INCH, plotting
from mejiro_runtime.files import replacing

WIDTH, HEIGHT, PIXELS_PER_UNIT = 1200, 760, 2
COLUMNS = 5
QUALITY = 88
THUMBNAIL = (400, 300)


def write_picture(path: Path, result: DemoResult) -> None:
    """Write the JPEG `path`, whole or not at all."""
    with plotting(font_size=13) as new_figure, replacing(path) as beside:
        figure = new_figure(WIDTH, HEIGHT)
        figure.set_facecolor(light("paper"))
        figure.get_layout_engine().set(w_pad=14 / POINTS_PER_INCH, h_pad=6 / POINTS_PER_INCH)
        top, scenes, bottom = figure.subfigures(3, 1, height_ratios=[0.16, 1.0, 0.48])
        _draw_title(top, result)
        cells = scenes.subplots(
            -(-len(result.scenes) // COLUMNS), COLUMNS, squeeze=False, gridspec_kw={"hspace": 0.05}
        )
        for axes, scene in zip(cells.flat, result.scenes, strict=False):
            _draw_scene(axes, scene)
        for axes in list(cells.flat)[len(result.scenes) :]:
            axes.set_axis_off()
        _draw_latency(bottom, result)
        figure.savefig(
            beside,
            format="jpg",
            dpi=POINTS_PER_INCH * PIXELS_PER_UNIT,
            pil_kwargs={"quality": QUALITY},
        )


def _draw_title(figure: Any, result: DemoResult) -> None:
    first = result.artifacts[0]
    time = milliseconds(first.stages["frame_to_label"]["p50_ns"])
    figure.text(0.012, 0.62, f"{result.model}, {first.name}", size=19, weight="bold", va="center")
    quality, of_what = quality_words(first)
    facts = [
        f"{megabytes(first.artifact.card.size_bytes)} MB",
        f"{quality} {of_what}",
        f"{time} ms from a 640×480 frame to its label",
        f"{first.bench['frames_per_second']:.0f} frames a second",
    ]
    figure.text(0.012, 0.16, "   ·   ".join(facts), color=light("muted"), va="center", size=14)


def _draw_scene(axes: Any, scene: SceneResult) -> None:
    """Draw one photograph and its best answers, each with its probability as a bar."""
    pixels = crop_to(read_sample(scene.scene.sample).pixels, *THUMBNAIL)[..., ::-1]
    axes.imshow(pixels)
    axes.set_axis_off()
    accepted = {label.index for label in scene.accepted}
    for row, answer in enumerate(scene.top[:2]):
        y = THUMBNAIL[1] + 30 + 40 * row
        right = answer["index"] in accepted
        name = str(answer["label"]).split(",")[0]
        axes.text(0, y, name, va="center", weight="bold" if right and row == 0 else "normal",
                  color=light("leaf" if right else "ink"))  # fmt: skip
        axes.text(THUMBNAIL[0], y, f"{percent(answer['score'])}%", va="center", ha="right",
                  color=light("muted"))  # fmt: skip
    axes.set_ylim(THUMBNAIL[1] + 95, 0)


def _draw_latency(figure: Any, result: DemoResult) -> None:
    axes = figure.subplots()
    draw_stages(axes, stage_bars(result), STAGE_COLOURS, mark=MARK)
    figure.legend(
        *legend_of(axes, STAGE_COLOURS),
        loc="outside upper left",
        ncols=4,
        handlelength=1.0,
        handleheight=0.9,
        borderaxespad=0.7,
    )
    device = result.device
    axes.set_xlabel(f"milliseconds a frame, medians, on {device['cpu']}, {device['cpus']} CPUs")
