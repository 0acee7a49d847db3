"""Define `mejiro evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from mejiro.cli import options
from mejiro.cli.console import note, print_json, print_table, progress, say
from mejiro.data.folders import labelled_pictures
from mejiro.model import Artifact, Evaluation
from mejiro.quality.evaluate import EngineOptions
from mejiro.quality.evaluate import evaluate as run_evaluation

_NAMED = 10


@click.command()
@click.argument("artifact", type=options.PATH)
@click.option("--data", type=options.PATH, required=True, help="Folders of pictures, by class.")
@click.option("--against", type=options.PATH, help="A reference artifact: count equal answers.")
@click.option("--per-class", is_flag=True, help="Also print a line for each class.")
@options.engine
@options.as_json
def evaluate(
    artifact: Path,
    data: Path,
    against: Path | None,
    per_class: bool,
    backend: str | None,
    threads: int | None,
    allow_fallback: bool,
    as_json: bool,
) -> None:
    """Score an exported file on labelled pictures, through the code that a device runs.

    The folders in DATA are named by label, synset or index. Pictures that cannot be read are
    counted and named. The score is kept in the card beside the artifact.

    \b
    Example:
      mejiro evaluate build/efficientnet-lite0-int8.tflite --data pictures
    """
    opened = Artifact.open_classifier(artifact)
    reference = Artifact.open_classifier(against) if against else None
    pictures = labelled_pictures(data, opened.card.labels)
    with progress() as shown:
        shown.stage(f"scoring {opened.card.file}")
        result = run_evaluation(
            [opened],
            pictures,
            data=data.resolve().name,
            against=reference,
            engine=EngineOptions(backend, threads, allow_fallback),
            on_progress=shown.advance,
        )[0]
    opened.with_evaluation(result)
    if as_json:
        print_json({"artifact": opened.card.file, **result.to_json()})
        return
    _print_scores(opened, result)
    if per_class:
        _print_classes(opened, result)


def _print_scores(artifact: Artifact, result: Evaluation) -> None:
    say(f"{artifact.card.file} on {result.pictures} pictures of {result.data}")
    say(f"  top-1 {100 * result.top1:.1f}%, top-5 {100 * result.top5:.1f}%")
    if result.agreement is not None:
        say(f"  same first answer as {result.against}: {100 * result.agreement:.1f}%")
    engine = result.backend
    say(
        f"  {engine['engine']} {engine['version']}, {engine['accelerator']}, "
        f"{engine['threads']} threads; pixels by {result.kernel}"
    )
    if engine["fallback"]:
        say(f"  FALLBACK: asked for {engine['requested']}, but {engine['fallback']}")
    if result.unreadable:
        names = ", ".join(result.unreadable[:_NAMED])
        more = len(result.unreadable) - _NAMED
        note(f"left out {len(result.unreadable)} unreadable: {names}{', ...' if more > 0 else ''}")


def _print_classes(artifact: Artifact, result: Evaluation) -> None:
    labels = artifact.card.labels
    rows = [
        [labels[index].short, str(count), f"{100 * right / count:.1f}%"]
        for index, (count, right) in result.per_class.items()
    ]
    say()
    print_table(["class", ">pictures", ">right"], rows)
