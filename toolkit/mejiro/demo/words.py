"""Put a demonstration's results into words: what was measured, on what, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mejiro.demo.results import ArtifactResult, DemoResult
from mejiro.report.numbers import NOTHING, milliseconds, percent


def quality_words(result: ArtifactResult) -> tuple[str, str]:
    """Return how good an artifact is, as a figure and what it is a figure of."""
    if result.evaluation is not None:
        return f"{percent(result.evaluation.top1)}%", "top-1"
    if result.agreement is not None:
        return f"{percent(result.agreement.share)}%", "as float"
    return NOTHING, ""


def engine_words(backend: Mapping[str, Any]) -> str:
    """Return what really ran, in words."""
    count = backend["threads"]
    threads = f"{count} thread" + ("" if count == 1 else "s")
    return f"{backend['engine']} {backend['version']}, {backend['accelerator']}, {threads}"


def speedup(result: DemoResult) -> float:
    """Return how many times as long float takes as the first artifact, at the median."""
    fast, slow = (
        one.stages["frame_to_label"]["p50_ns"] for one in (result.artifacts[0], result.reference)
    )
    return slow / fast


def lead_words(result: DemoResult) -> str:
    """Return what happened, in two sentences."""
    first = result.artifacts[0]
    time = milliseconds(first.stages["frame_to_label"]["p50_ns"])
    times = result.reference.artifact.card.size_bytes / first.artifact.card.size_bytes
    run = "run by the runtime alone, in an environment of its own"
    if not result.environment.own:
        run = "run in the present environment"
    return (
        "The network was converted to int8 for two engines, scored against float, bundled, and "
        f"{run}. The {first.name} file is {times:.1f} times smaller "
        f"than float and needs {time} ms from a frame of 640×480 pixels to its label."
    )


def warnings(result: DemoResult) -> list[str]:
    """Return what a reader has to know before believing a number."""
    found = []
    if not result.environment.own:
        found.append(
            "The bundle ran in the environment that wrote it, as --no-environment asks for: that "
            "it runs without the toolkit was not shown."
        )
    for one in result.everything:
        if not one.bench["steady"]:
            found.append(
                f"{one.name}: the machine did not become steady in "
                f"{one.bench['warmup_frames']} warm-up frames; take its durations with care."
            )
        if one.bench["backend"]["fallback"]:
            found.append(f"{one.name} ran on a fallback: {one.bench['backend']['fallback']}.")
    return found


def quality_caption(result: DemoResult) -> str:
    """Say what the shares in the table of files are shares of."""
    first = result.artifacts[0]
    if first.evaluation is not None:
        left_out = len(first.evaluation.unreadable)
        unread = f" {left_out} more could not be read and were left out." if left_out else ""
        return (
            f"Scored through the runtime on {first.evaluation.pictures} labelled pictures of "
            f"{result.data}.{unread} As float: the share of pictures with the same first answer "
            f"as {first.evaluation.against}. Durations are medians."
        )
    assert first.agreement is not None  # noqa: S101 - one of the two is always there
    found = first.agreement
    return (
        "No labelled pictures were given (--data), so no accuracy was measured. As float: the "
        f"share of {found.views} crops, {found.views // found.photographs} of each of "
        f"{found.photographs} photographs, with the same first answer as {found.against}. In its "
        "top 5: float's first answer is among the file's first five. The crops are others than "
        "those of the calibration, the photographs the same. Durations are medians."
    )


def seen_words(result: DemoResult) -> str:
    """Say how to read the photographs, and what the video gave as a whole."""
    right, counted = result.recognised
    same, frames = result.same_on_video()
    engines = " and ".join(one.name for one in result.artifacts)
    return (
        f"Below each photograph: the three best answers of {result.artifacts[0].name} to the whole "
        f"of it, in green what counts as right; then its first answers to the frames of a video "
        f"that pans and zooms over all of them. {right} of the {counted} frames that show "
        f"something this model has a class for were answered rightly. {engines} gave the same "
        f"first answer to {same} of {frames} frames."
    )
