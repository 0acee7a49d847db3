"""Say where explanations are written, and tell them in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mejiro.errors import DataError, UsageError
from mejiro.explain.explanation import Explanation
from mejiro.explain.heat import over_picture
from mejiro.explain.methods import Map, Method
from mejiro.explain.stages import strongest
from mejiro_runtime.preprocess import place
from mejiro_runtime.sources.pictures import picture_files

# A map in JSON has no more rows and columns than this; larger ones are averaged.
MAX_SIDE = 28
STRONGEST = 16


def find_pictures(given: Sequence[Path]) -> list[Path]:
    """Return the picture files that are meant; a folder stands for those in it.

    Drawings that were written beside pictures are passed over in folders. Raises DataError for a
    path that is absent, and a folder without pictures.
    """
    found: list[Path] = []
    for path in given:
        if not path.exists():
            raise DataError(f"there is no picture {path}")
        if not path.is_dir():
            found.append(path)
            continue
        inside = [file for file in picture_files(path) if not _is_drawing(file)]
        if not inside:
            raise DataError(f"{path} holds no pictures; give pictures, or a folder of them")
        found += inside
    return found


def _is_drawing(path: Path) -> bool:
    return any(path.name.endswith(_ending(method)) for method in Method)


def _ending(method: Method) -> str:
    return f".{method.value}.jpg"


def drawing_paths(pictures: Sequence[Path], method: Method, out: Path | None) -> list[Path]:
    """Return where the drawing of each picture goes: to the folder `out`, None for beside it.

    Raises UsageError if two would be one file, or `out` is a file.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder to write to")
    paths: dict[Path, Path] = {}
    for picture in pictures:
        path = (out or picture.parent) / f"{picture.stem}{_ending(method)}"
        if path in paths:
            raise UsageError(
                f"{paths[path]} and {picture} would both be drawn to {path}; explain them apart, "
                "with another --out"
            )
        paths[path] = picture
    return list(paths)


def to_json(explanation: Explanation) -> dict[str, Any]:
    """Return plain JSON values: the answers, and the heat or the stages in numbers.

    `map` is the heat over the model's input, `seen` the region of the picture that the input was
    made from, and `peak` the hottest place of the picture, None without heat; all in pixels.
    """
    label = explanation.label
    value: dict[str, Any] = {
        "model": explanation.model,
        "method": explanation.method.value,
        "computed": explanation.computed,
        "class": {"index": label.index, "label": label.name, "synset": label.synset},
        "score": explanation.score,
        "top": [
            {"index": one.label.index, "label": one.label.name, "score": one.score}
            for one in explanation.top
        ],
    }
    if explanation.method is Method.FEATURES:
        del value["class"], value["score"]
        return value | {
            "stages": [_stage(seen.layer, seen.features) for seen in explanation.stages]
        }
    rows, columns = explanation.pixels.shape[:2]
    where = place(explanation.spec, rows, columns)
    return value | {
        "layer": explanation.layer or None,
        "map": np.round(_reduced(explanation.heat), 7).tolist(),
        "seen": {"x": where.x, "y": where.y, "width": where.width, "height": where.height},
        "peak": _peak(explanation),
    }


def _stage(layer: str, features: Map) -> dict[str, Any]:
    height, width, channels = features.shape
    shown = [int(channel) for channel in strongest(features, STRONGEST)]
    about = {"layer": layer, "height": height, "width": width, "channels": channels}
    return about | {"strongest": shown}


def _peak(explanation: Explanation) -> dict[str, int] | None:
    heat = over_picture(explanation.heat, explanation.spec, *explanation.pixels.shape[:2])
    if not heat.max() > 0:
        return None
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    return {"x": int(x), "y": int(y)}


def _reduced(heat: Map) -> Map:
    """Return `heat` with at most MAX_SIDE rows and columns, each the mean of several."""
    for axis in (0, 1):
        parts = np.array_split(heat, min(MAX_SIDE, heat.shape[axis]), axis=axis)
        heat = np.stack([part.mean(axis=axis) for part in parts], axis=axis)
    return heat
