"""Assemble a demonstration's page."""

from __future__ import annotations

from typing import Any

from mejiro import __version__
from mejiro.data.samples import read_sample
from mejiro.demo.figures import histogram_figure, stages_figure
from mejiro.demo.results import DemoResult, SceneResult
from mejiro.demo.tables import (
    artifact_table,
    elapsed_table,
    engine_table,
    stage_table,
    verification_table,
)
from mejiro.demo.words import engine_words, lead_words, seen_words, speedup, warnings
from mejiro.report.elements import Bar, Fact, Tone
from mejiro.report.html import Page, render_page
from mejiro.report.numbers import megabytes, milliseconds, percent
from mejiro.report.pictures import crop_to, data_uri

THUMBNAIL = (560, 420)
_NAMED = 4


def demo_page(result: DemoResult) -> str:
    """Return the HTML of a demonstration's report."""
    return render_page(
        "demo.html",
        package="mejiro.demo",
        page=Page(
            title=f"{result.model}, from float to a device",
            kind="demo report",
            footer=f"Written by mejiro {__version__}. The same figures for programs: report.json.",
        ),
        content={
            "lead": lead_words(result),
            "warnings": warnings(result),
            "facts": _facts(result),
            "artifacts": artifact_table(result),
            "stages": stages_figure(result),
            "stage_table": stage_table(result),
            "engines": engine_table(result),
            "histogram": histogram_figure(result),
            "seen": seen_words(result),
            "scenes": [_card(scene) for scene in result.scenes],
            "verification": verification_table(result),
            "measured": _measured(result),
            "surroundings": _surroundings(result),
            "elapsed": elapsed_table(result),
        },
    )


def _facts(result: DemoResult) -> list[Fact]:
    first = result.artifacts[0]
    float_size = megabytes(result.reference.artifact.card.size_bytes)
    time = milliseconds(first.stages["frame_to_label"]["p50_ns"])
    rate = f"{first.bench['frames_per_second']:.0f}"
    threads = first.bench["backend"]["threads"]
    return [
        Fact(
            megabytes(first.artifact.card.size_bytes),
            "MB",
            first.name,
            f"the float file has {float_size} MB",
        ),
        _quality_fact(result),
        Fact(time, "ms", "frame to label", f"float takes {speedup(result):.1f} times as long"),
        Fact(rate, "/ s", "frames", f"one after another, on {threads} threads"),
    ]


def _quality_fact(result: DemoResult) -> Fact:
    first = result.artifacts[0]
    if first.evaluation is not None and result.reference.evaluation is not None:
        of_float = percent(result.reference.evaluation.top1)
        note = f"float has {of_float}%, on {first.evaluation.pictures} pictures"
        return Fact(percent(first.evaluation.top1), "%", "top-1", note)
    assert first.agreement is not None  # noqa: S101 - one of the two is always there
    note = f"same first answer on {first.agreement.views} crops: agreement, not accuracy"
    return Fact(percent(first.agreement.share), "%", "as float", note)


def _card(scene: SceneResult) -> dict[str, Any]:
    """Return one photograph with its answers, and how it went in the video."""
    accepted = {label.index for label in scene.accepted}
    seen = [f"{scene.names[index]} {count}" for index, count in scene.seen.most_common()]
    more = len(seen) - _NAMED
    return {
        "title": scene.scene.title,
        "image": data_uri(crop_to(read_sample(scene.scene.sample).pixels, *THUMBNAIL)),
        "bars": [
            Bar(
                name=str(answer["label"]).split(",")[0],
                share=float(answer["score"]),
                text=f"{percent(answer['score'])}%",
                tone=Tone.GOOD if answer["index"] in accepted else Tone.PLAIN,
            )
            for answer in scene.top
        ],
        "verdict": "no class" if scene.right is None else f"{scene.right} of {scene.frames} frames",
        "tone": _tone(scene),
        "seen": ", ".join(seen[:_NAMED]) + (f" and {more} more" if more > 0 else ""),
        "remark": _remark(scene),
    }


def _remark(scene: SceneResult) -> str:
    """Return what the scene says of its classes, which a model of other classes may lack."""
    if scene.right is None and scene.scene.accepts:
        return "no class of this model stands for it"
    return scene.scene.remark


def _tone(scene: SceneResult) -> Tone:
    if scene.right is None:
        return Tone.MUTED
    return Tone.GOOD if 2 * scene.right > scene.frames else Tone.BAD


def _measured(result: DemoResult) -> list[tuple[str, str]]:
    bench = result.artifacts[0].bench
    warm, size = bench["warmup_frames"], megabytes(result.bundle_bytes)
    return [
        ("weights", result.weights),
        ("calibration", result.calibration),
        ("pixels", f"{bench['kernel']}, through the code that a device runs"),
        ("source", f"{bench['source']}, {bench['frames']} frames after {warm} of warm-up"),
        ("bundle", f"{size} MB: both int8 files, golden frames, labels and the runtime's wheel"),
    ]


def _surroundings(result: DemoResult) -> list[tuple[str, str]]:
    device, environment = result.device, result.environment
    board = f"{device['board']}, " if device["board"] else ""
    rows = [
        ("machine", f"{board}{device['cpu']}, {device['cpus']} CPUs, {device['machine']}"),
        ("system", f"{device['system']}, Python {device['python']}"),
        *((one.name, engine_words(one.bench["backend"])) for one in result.artifacts),
    ]
    if environment.packages is None or environment.size_bytes is None:
        return [*rows, ("environment", "the one that the toolkit runs in")]
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    size = f"{len(environment.packages)} packages, {megabytes(environment.size_bytes)} MB"
    return [*rows, ("environment", f"{size}, made with {environment.installer}: {packages}")]
