"""Tell what a bundle holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import Task
from mejiro_runtime.commands.printing import write, write_json


def execute(options: argparse.Namespace) -> int:
    """Tell what a bundle holds."""
    bundle = open_bundle(Path(options.bundle))
    manifest = bundle.manifest
    if options.json:
        write_json({**manifest.to_json(), "classes": len(bundle.labels)})
        return 0
    total = sum(entry.size_bytes for entry in manifest.files.values())
    write(f"{manifest.name}: {len(manifest.files)} files, {total / 1e6:.1f} MB, all as written")
    write(f"  made by {manifest.made_by} for {manifest.target}, {len(bundle.labels)} classes")
    for card in manifest.artifacts:
        spec = card.input
        earned = card.evaluation or {}
        top1, pictures = earned.get("top1"), earned.get("pictures")
        # The host wrote this for people; a card of other origin may hold anything there.
        score = ""
        task = "" if card.output.task is Task.CLASSIFICATION else f", for {card.output.task.value}"
        if isinstance(top1, float) and isinstance(pictures, int):
            score = f", top-1 {100 * top1:.1f}% of {pictures}"
        write(
            f"  {card.file}: {card.precision.value}, {card.size_bytes / 1e6:.2f} MB, takes "
            f"{spec.width}x{spec.height} {spec.order.value} {spec.dtype.value} by "
            f"{spec.resize.value}{task}{score}"
        )
    write(f"  {manifest.golden.count} golden frames; runtime {manifest.runtime.get('version')}")
    return 0
