"""Set a demonstration's figures into tables."""

from __future__ import annotations

from mejiro.demo.figures import STAGE_COLOURS
from mejiro.demo.results import ArtifactResult, DemoResult
from mejiro.demo.words import engine_words, quality_caption
from mejiro.report.elements import Cell, Column, Table, Tone, table
from mejiro.report.numbers import NOTHING, megabytes, milliseconds, percent, ratio, seconds

PERCENTILES = ("p50", "p90", "p99", "max")


def artifact_table(result: DemoResult) -> Table:
    """Return the files: how large, how good, how fast."""
    scored = result.data is not None
    columns = [
        Column("file"),
        Column("size", "MB", numeric=True),
        *([Column(name, "%", numeric=True) for name in ("top-1", "top-5")] if scored else []),
        Column("as float", "%", numeric=True),
        *([] if scored else [Column("in its top 5", "%", numeric=True)]),
        Column("frame to label", "ms", numeric=True),
        Column("frames", "1/s", numeric=True),
    ]
    rows: list[list[Cell | str]] = []
    for one in result.everything:
        card = one.artifact.card
        place = " · not bundled" if one is result.reference else ""
        rows.append(
            [
                Cell(one.name, f"{card.file}{place}"),
                megabytes(card.size_bytes),
                *_quality_cells(one),
                milliseconds(one.stages["frame_to_label"]["p50_ns"]),
                f"{one.bench['frames_per_second']:.0f}",
            ]
        )
    return table(columns, rows, caption=quality_caption(result))


def _quality_cells(one: ArtifactResult) -> list[str]:
    if one.evaluation is not None:
        agreement = one.evaluation.agreement
        shown = NOTHING if agreement is None else percent(agreement)
        return [percent(one.evaluation.top1), percent(one.evaluation.top5), shown]
    if one.agreement is not None:
        return [percent(one.agreement.share), percent(one.agreement.in_top / one.agreement.views)]
    return [NOTHING, NOTHING]


def stage_table(result: DemoResult) -> Table:
    """Return the percentiles of each stage of each file, the whole first."""
    columns = [
        Column("stage"),
        *(Column(name, "ms", numeric=True) for name in PERCENTILES),
    ]
    rows: list[list[Cell | str]] = []
    for one in result.everything:
        for stage in ("frame_to_label", *STAGE_COLOURS):
            whole = stage == "frame_to_label"
            name = Cell(one.name) if whole else Cell(stage, tone=Tone.MUTED)
            found = one.stages[stage]
            rows.append([name, *(milliseconds(found[f"{share}_ns"]) for share in PERCENTILES)])
    return table(
        columns,
        rows,
        compact=True,
        caption="First the whole, from frame to label, then its stages. Over "
        f"{result.artifacts[0].bench['frames']} frames in memory, after a warm-up. "
        "Percentiles are durations that were measured (nearest rank).",
    )


def engine_table(result: DemoResult) -> Table:
    """Return what the engines cost by themselves."""
    columns = [
        Column("file"),
        Column("bare engine", "ms", numeric=True),
        Column("overhead", "×", numeric=True),
        Column("load", "ms", numeric=True),
        Column("first inference", "ms", numeric=True),
        Column("peak memory", "MB", numeric=True),
    ]
    rows: list[list[Cell | str]] = []
    for one in result.everything:
        bench = one.bench
        memory = bench["peak_memory_bytes"]
        rows.append(
            [
                Cell(one.name, engine_words(bench["backend"])),
                milliseconds(bench["bare_engine"]["p50_ns"]),
                ratio(bench["overhead"]),
                milliseconds(bench["load_ns"]),
                milliseconds(bench["first_infer_ns"]),
                NOTHING if memory is None else f"{memory / 1e6:.0f}",
            ]
        )
    return table(
        columns,
        rows,
        caption="Bare engine: the median of the engine alone, called again on the tensors it "
        "holds, in turns with the frames. Overhead: frame to label by bare engine, medians. "
        "Peak memory is that of the whole process.",
    )


def verification_table(result: DemoResult) -> Table:
    """Return the verdicts on the golden frames."""
    columns = [
        Column("file"),
        Column("verdict"),
        Column("golden frames", numeric=True),
        Column("largest difference", numeric=True),
        Column("allowed", numeric=True),
    ]
    rows: list[list[Cell | str]] = []
    for one in result.artifacts:
        verdict = one.verification or {}
        passed = Cell("passed", tone=Tone.GOOD)
        rows.append(
            [
                Cell(one.name, one.artifact.card.file),
                passed if verdict["passed"] else Cell("failed", tone=Tone.BAD),
                str(verdict["frames"]),
                f"{verdict['largest_output']:.2g}",
                f"{verdict['tolerance']:.2g}",
            ]
        )
    return table(columns, rows, caption="Differences are in probability, between 0 and 1.")


def elapsed_table(result: DemoResult) -> Table:
    """Return what each stage of the demonstration took."""
    rows = [[name, seconds(value)] for name, value in result.elapsed_ns.items()]
    rows.append(["together", seconds(sum(result.elapsed_ns.values()))])
    return table([Column("stage"), Column("took", "s", numeric=True)], rows, compact=True)
