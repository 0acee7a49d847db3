"""Define `mejiro zoo`."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import click

from mejiro.cli import options
from mejiro.cli.console import print_json, print_table, say
from mejiro.zoo import ALIASES, MODELS, ModelSpec

_COLUMNS = (
    "model", ">parameters", ">multiply-adds", ">input", ">published top-1", "weights", "options"
)  # fmt: skip


@click.command()
@options.as_json
def zoo(as_json: bool) -> None:
    """List the models that can be trained and converted by name.

    Multiply-adds are those of the convolutions and dense layers for one picture of the size
    that stands under input. Published top-1 is what the source named below the table states for
    float weights; "options" are what else may be changed beside --image-size and --activation.

    \b
    Example:
      mejiro zoo
    """
    if as_json:
        print_json([_entry(spec) for spec in MODELS.values()])
        return
    rows = []
    for number, (_, family) in enumerate(groupby(MODELS.values(), lambda spec: spec.family)):
        if number:
            rows.append([""] * len(_COLUMNS))
        rows += [_row(spec) for spec in family]
    print_table(_COLUMNS, rows)
    say()
    for source, families in _sources().items():
        say(f"published: {', '.join(families)}: {source}")
    say("short names: " + ", ".join(f"{short} = {name}" for short, name in ALIASES.items()))


def _row(spec: ModelSpec) -> list[str]:
    return [
        spec.name,
        f"{spec.parameters / 1e6:.1f} M",
        f"{spec.multiply_adds / 1e6:,.0f} M",
        f"{spec.image_size}x{spec.image_size}",
        f"{100 * spec.published_top1:.1f}%",
        spec.pretrained.describe() if spec.pretrained else "none",
        " ".join(f"--{name}" for name in spec.options),
    ]


def _sources() -> dict[str, list[str]]:
    """Return what states the published figures, with the families or models that it tells of."""
    sources: dict[str, list[str]] = {}
    for family, members in groupby(MODELS.values(), lambda spec: spec.family):
        specs = list(members)
        shared = len({spec.published_in for spec in specs}) == 1
        for spec in specs[:1] if shared else specs:
            sources.setdefault(spec.published_in, []).append(family if shared else spec.name)
    return sources


def _entry(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "family": spec.family,
        "description": spec.description,
        "parameters": spec.parameters,
        "multiply_adds": spec.multiply_adds,
        "image_size": spec.image_size,
        "min_image_size": spec.min_image_size,
        "input": spec.input_spec().to_json(),
        "published_top1": spec.published_top1,
        "published_in": spec.published_in,
        "weights": spec.pretrained.describe() if spec.pretrained else None,
        "widths_with_weights": list(spec.pretrained.alphas()) if spec.pretrained else [],
        "options": ["image-size", "activation", *spec.options],
        "dropout": spec.dropout,
        "features": spec.features,
        "classifier": spec.classifier,
    }
