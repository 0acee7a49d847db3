"""Define `mejiro explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mejiro.cli import opening, options
from mejiro.cli.console import note, print_json, print_table, progress
from mejiro.errors import DataError, UsageError
from mejiro.explain import (
    ExportedSubject,
    Method,
    NetworkSubject,
    Occlusion,
    Request,
    Subject,
    write_drawing,
)
from mejiro.explain import explain as run_explanation
from mejiro.explain.report import drawing_paths, find_pictures, to_json
from mejiro.model import Artifact
from mejiro_runtime.card import Format
from mejiro_runtime.errors import SourceError
from mejiro_runtime.model import open_model
from mejiro_runtime.sources.pictures import read_picture

_EXPORTED = tuple(f".{value.value}" for value in Format)
_ENGINE = ("backend", "threads", "allow_fallback")


@click.command()
@click.argument("model")
@click.argument("pictures", nargs=-1, required=True, type=options.PATH)
@click.option(
    "--method",
    type=click.Choice([value.value for value in Method]),
    default=Method.GRADCAM.value,
    show_default=True,
    help="How to look; see docs/explain.md.",
)
@click.option("--class", "target", help="A label, synset or index; default: the first answer.")
@click.option("--layer", help="A layer of a network; default: its last feature map.")
@click.option("--window", type=int, help="Pixels that occlusion hides; default: a seventh.")
@click.option("--stride", type=int, help="Pixels that it moves by; default: half of that.")
@click.option("--out", type=options.PATH, help="A folder; default: beside each picture.")
@opening.model_options
@options.engine
@options.as_json
def explain(
    model: str,
    pictures: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Draw what MODEL looks at in PICTURES: heat over each, and its answers.

    MODEL is what `mejiro convert` takes, or a file that it wrote: a .tflite or .onnx, with its
    features if it was written --with-features. PICTURES may be folders. Beside cat.jpg appears
    cat.gradcam.jpg, called after the method.

    \b
    gradcam    which places speak for a class
    gradcam++  the same, fairer to several objects of it
    occlusion  where hiding a window takes from the score; any model, slower
    features   the feature maps that a picture stirs most: early, midway, late

    \b
    Examples:
      mejiro explain efficientnet-lite0 cat.jpg
      mejiro explain build/efficientnet-lite0-int8.tflite pictures --class tabby --out heat
    """
    request = Request(
        method=Method(settings["method"]),
        target=settings["target"],
        layer=settings["layer"],
        occlusion=Occlusion(settings["window"], settings["stride"]),
    )
    files = find_pictures(pictures)
    drawings = drawing_paths(files, request.method, out)
    with progress() as shown:
        shown.stage(f"opening {model}")
        with _open(model, settings) as subject:
            found = []
            for done, (file, drawing) in enumerate(zip(files, drawings, strict=True)):
                shown.stage(f"explaining {file.name} ({done + 1} of {len(files)})")
                try:
                    pixels = read_picture(file)
                except SourceError as error:
                    shown.note(f"left out: {error}")
                    continue
                answer = run_explanation(subject, pixels, request, on_progress=shown.advance)
                write_drawing(drawing, answer)
                found.append({"picture": str(file), "drawing": str(drawing), **to_json(answer)})
    if not found:
        raise DataError(f"none of the {len(files)} pictures can be read; the first is {files[0]}")
    if as_json:
        print_json(found)
    else:
        _print(found)


def _open(model: str, settings: dict[str, Any]) -> Subject:
    """Open an exported file in the runtime, anything else as a network."""
    path = Path(model)
    if path.suffix.lower() not in _EXPORTED:
        _refuse(model, settings, _ENGINE, "is a network, which Keras runs")
        return NetworkSubject(opening.open_float_model(model, settings))
    _refuse(model, settings, opening.NAMES, "is an exported file, whose card says all of that")
    artifact = Artifact.open_classifier(path)
    engine = {name: settings[name] for name in _ENGINE}
    return ExportedSubject(artifact, open_model(artifact.path, artifact.card, **engine))


def _refuse(model: str, settings: dict[str, Any], names: tuple[str, ...], why: str) -> None:
    """Raise UsageError if one of the options `names` was given, which mean nothing here."""
    given = [name for name in names if settings[name] is not None and settings[name] is not False]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{model} {why}; leave {flags} out")


def _print(found: list[dict[str, Any]]) -> None:
    rows = []
    for one in found:
        best = one["top"][0]
        explained = one.get("class", best)["label"].split(",")[0]
        score = one.get("score", best["score"])
        rows.append([one["picture"], explained, f"{100 * score:.1f}%", one["drawing"]])
        if one.get("peak", {}) is None:
            note(f"{one['picture']}: nothing that was found speaks for '{explained}'")
    print_table(["picture", "class", ">score", "drawing"], rows)
