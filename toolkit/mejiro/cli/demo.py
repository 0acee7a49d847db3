"""Define `mejiro demo`."""

from __future__ import annotations

from pathlib import Path

import click

from mejiro.cli import options
from mejiro.cli.console import note, print_json, print_table, progress, say
from mejiro.demo import DemoOptions, DemoResult, Narrator, run_demo
from mejiro.demo.figures import STAGE_COLOURS
from mejiro.demo.run import DEFAULT_FRAMES, DEFAULT_MODEL
from mejiro.demo.words import engine_words, quality_words, warnings
from mejiro.report.numbers import megabytes, milliseconds, ratio, seconds


@click.command()
@click.option(
    "--out",
    type=options.PATH,
    default=Path("mejiro-demo"),
    show_default=True,
    help="The demo's own folder.",
)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="See `mejiro zoo`.")
@click.option("--data", type=options.PATH, help="Folders of pictures, by class, to score on.")
@click.option(
    "--frames",
    type=click.IntRange(1, 100_000),
    default=DEFAULT_FRAMES,
    show_default=True,
    help="The video's length.",
)
@click.option(
    "--environment/--no-environment",
    default=True,
    help="Install the runtime into an environment of its own, or use the present one.",
)
@click.option("--open", "open_page", is_flag=True, help="Show the report in a browser.")
@options.as_json
def demo(
    out: Path,
    model: str,
    data: Path | None,
    frames: int,
    environment: bool,
    open_page: bool,
    as_json: bool,
) -> None:
    """Take a pretrained model the whole way, and report what came out.

    It is converted to int8 TFLite and ONNX, scored against float, bundled, and run over a video
    by the runtime alone, in an environment of its own. All of it lands in one folder, with the
    report in report.html.

    \b
    Example:
      mejiro demo --out mejiro-demo
    """
    with progress() as shown:
        narrator = Narrator(
            on_stage=shown.stage,
            on_progress=shown.advance,
            on_done=lambda name, elapsed_ns: shown.note(f"{seconds(elapsed_ns):>7} s  {name}"),
        )
        chosen = DemoOptions(model=model, data=data, frames=frames, environment=environment)
        result = run_demo(out, options=chosen, narrator=narrator)
    note(f"{seconds(sum(result.elapsed_ns.values())):>7} s  together")
    if as_json:
        print_json(result.to_json())
    else:
        _print(result, out)
    if open_page:
        click.launch(str((out / "report.html").resolve()))


def _print(result: DemoResult, out: Path) -> None:
    say()
    _print_artifacts(result)
    say()
    _print_stages(result)
    say()
    _print_scenes(result)
    say()
    for text in warnings(result):
        say(f"note: {text}")
    say(f"report: {out}/report.html")
    if result.environment.own:
        say(f"try it: {out}/venv/bin/mejiro-run run {out}/bundle --source camera:0")


def _print_artifacts(result: DemoResult) -> None:
    first = result.artifacts[0]
    of_what = quality_words(first)[1]
    columns = ["", ">MB", f">{of_what}", ">p50 ms", ">p90 ms", ">p99 ms", ">frames/s", ">overhead"]
    rows = []
    for one in result.everything:
        time = one.stages["frame_to_label"]
        rows.append(
            [
                one.name,
                megabytes(one.artifact.card.size_bytes),
                quality_words(one)[0],
                *(milliseconds(time[name]) for name in ("p50_ns", "p90_ns", "p99_ns")),
                f"{one.bench['frames_per_second']:.0f}",
                f"× {ratio(one.bench['overhead'])}",
            ]
        )
    print_table(columns, rows)
    if first.agreement is not None:
        say(
            f"as float: the same first answer on {first.agreement.views} crops of "
            f"{first.agreement.photographs} photographs; agreement, not accuracy (--data)"
        )
    elif first.evaluation is not None:
        say(f"top-1 on {first.evaluation.pictures} pictures of {result.data}")
    say("latency: from a 640x480 frame to its label; overhead: by the bare engine's median")


def _print_stages(result: DemoResult) -> None:
    stages = tuple(STAGE_COLOURS)
    columns = ["median ms", *(f">{stage}" for stage in stages), ">bare engine", ">load"]
    rows = [
        [
            one.name,
            *(milliseconds(one.stages[stage]["p50_ns"]) for stage in stages),
            milliseconds(one.bench["bare_engine"]["p50_ns"]),
            milliseconds(one.bench["load_ns"]),
        ]
        for one in result.everything
    ]
    print_table(columns, rows)
    for one in result.artifacts:
        say(f"{one.name}: {engine_words(one.bench['backend'])}")


def _print_scenes(result: DemoResult) -> None:
    rows = []
    for scene in result.scenes:
        seen = ", ".join(
            f"{scene.names[index]} {100 * count / scene.frames:.0f}%"
            for index, count in scene.seen.most_common(3)
        )
        right = "no class" if scene.right is None else f"{scene.right}/{scene.frames}"
        rows.append([scene.scene.title, right, seen])
    print_table(["in the video", ">right", "seen as"], rows)
