"""Define `mejiro zoo`."""

from __future__ import annotations

import click

from mejiro.cli import options
from mejiro.cli.console import print_json, print_table, say
from mejiro.zoo import ALIASES, MODELS, ModelSpec


@click.command()
@options.as_json
def zoo(as_json: bool) -> None:
    """List the models that can be converted by name.

    \b
    Example:
      mejiro zoo
    """
    if as_json:
        print_json([_entry(spec) for spec in MODELS.values()])
        return
    rows = [
        [
            spec.name,
            f"{spec.image_size}x{spec.image_size}",
            f"{100 * spec.published_top1:.1f}%",
            spec.pretrained.describe() if spec.pretrained else "none",
        ]
        for spec in MODELS.values()
    ]
    print_table(["model", "input", ">published top-1", "weights"], rows)
    say()
    for spec in {spec.published_in: spec for spec in MODELS.values()}.values():
        say(f"published: {spec.family}: {spec.published_in}")
    say("short names: " + ", ".join(f"{short} = {name}" for short, name in ALIASES.items()))


def _entry(spec: ModelSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "family": spec.family,
        "description": spec.description,
        "image_size": spec.image_size,
        "published_top1": spec.published_top1,
        "published_in": spec.published_in,
        "weights": spec.pretrained.describe() if spec.pretrained else None,
    }
