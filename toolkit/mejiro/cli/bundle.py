"""Define `mejiro bundle`."""

from __future__ import annotations

from pathlib import Path

import click

from mejiro.bundle import BundleOptions, write_bundle
from mejiro.cli import options
from mejiro.cli.console import print_json, progress, say
from mejiro.model import Artifact


@click.command()
@click.argument("artifacts", type=options.PATH, nargs=-1, required=True, metavar="ARTIFACT...")
@click.option("--out", type=options.PATH, required=True, help="The folder to write.")
@click.option("--name", help="The bundle's name; default: the folder's.")
@click.option(
    "--golden",
    type=options.PATH,
    help="A folder of pictures for the golden frames; default: pictures that Mejiro brings.",
)
@click.option("--replace", is_flag=True, help="Replace a bundle that is there already.")
@options.as_json
def bundle(
    artifacts: tuple[Path, ...],
    out: Path,
    name: str | None,
    golden: Path | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Pack exported files for a device: with labels, golden frames, checksums and the runtime.

    The first ARTIFACT is the one that `mejiro-run` takes unless told otherwise. The same files
    give the same bundle, to the byte.

    \b
    Example:
      mejiro bundle build/efficientnet-lite0-int8.tflite --out cat-finder
    """
    opened = [Artifact.open(path) for path in artifacts]
    with progress() as shown:
        written = write_bundle(
            opened,
            out,
            options=BundleOptions(name=name, golden=golden, replace=replace),
            on_progress=shown.stage,
        )
    files = written.manifest.files
    total = sum(entry.size_bytes for entry in files.values())
    if as_json:
        print_json({"bundle": str(out), "size_bytes": total, **written.manifest.to_json()})
        return
    say(f"{out}: {len(files)} files, {total / 1e6:.1f} MB")
    for card in written.manifest.artifacts:
        say(f"  {card.file} ({card.size_bytes / 1e6:.2f} MB)")
    say(f"  {written.manifest.golden.count} golden frames; verified on this machine")
    say(
        f"Copy the folder to the device, then follow {out}/README.md; here: mejiro-run verify {out}"
    )
