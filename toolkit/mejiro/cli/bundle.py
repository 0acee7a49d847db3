"""Define `mejiro bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mejiro.bundle import BundleOptions, TargetOptions, write_bundle
from mejiro.cli import options
from mejiro.cli.bundling_apk import ApkWishes, apk_options
from mejiro.cli.bundling_apps import AppRequest, write_app
from mejiro.cli.console import print_json, progress, say
from mejiro.errors import UsageError
from mejiro.model import Artifact
from mejiro.targets import AppTarget, load_profile, load_target


@click.command()
@click.argument("artifacts", type=options.PATH, nargs=-1, required=True, metavar="ARTIFACT...")
@click.option(
    "--out",
    type=options.PATH,
    required=True,
    help="The folder to write; for android-apk, the file.",
)
@click.option("--name", help="The bundle's name; default: the folder's.")
@click.option(
    "--golden",
    type=options.PATH,
    help="A folder of pictures for the golden frames; default: pictures that Mejiro brings.",
)
@click.option("--target", metavar="NAME", help="Make it for this device (see `mejiro targets`).")
@click.option("--system", metavar="NAME", help="The target's system; default: its first.")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="PACKAGE",
    help="Take this engine of the target's, not the first for a format; may be given again.",
)
@click.option(
    "--wheels",
    type=options.PATH,
    multiple=True,
    metavar="DIR",
    help="A folder of wheels that no index has; may be given again.",
)
@click.option("--offline", is_flag=True, help="Take wheels from the cache and --wheels alone.")
@click.option(
    "--sign",
    type=options.PATH,
    metavar="KEY",
    help="Sign it with this OpenSSH key, so that devices can tell who made it.",
)
@click.option("--title", help="What the page of an app is called; default: the bundle's name.")
@apk_options
@click.option("--replace", is_flag=True, help="Replace what is there already.")
@options.as_json
def bundle(
    artifacts: tuple[Path, ...],
    out: Path,
    name: str | None,
    golden: Path | None,
    title: str | None,
    replace: bool,
    sign: Path | None,
    as_json: bool,
    **fit: Any,
) -> None:
    """Pack exported files for a device: with labels, golden frames, checksums and the runtime.

    The first ARTIFACT is the one that `mejiro-run` takes unless told otherwise. The same files
    give the same bundle, to the byte. With --target it also holds every package that the device
    needs, and install.sh, which installs them there without a network. For a target that is an
    app (android-web, android-apk), ARTIFACT may be a bundle's folder too; an APK is also made of a
    site's.

    \b
    Examples:
      mejiro bundle build/efficientnet-lite0-int8.tflite --out cat-finder
      mejiro bundle build/efficientnet-lite0-int8.tflite --out cat-finder --target raspberry-pi-5
      mejiro bundle cat-finder --out site --target android-web
      mejiro bundle cat-finder --out cat-finder.apk --target android-apk --label "Cat finder"
    """
    wishes = ApkWishes.take(fit)
    app = _app(fit["target"])
    if app is not None:
        _refuse_for_apps(app, sign=sign, **fit)
        write_app(app, AppRequest(artifacts, out, name, title, golden, replace, as_json, wishes))
        return
    wishes.refuse_for("a bundle")
    if title is not None:
        raise UsageError("--title is for apps; name a --target such as android-web")
    target = _target(**fit)
    opened = [Artifact.open(path) for path in artifacts]
    with progress() as shown:
        written = write_bundle(
            opened,
            out,
            options=BundleOptions(
                name=name, golden=golden, replace=replace, target=target, sign=sign
            ),
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
    if target is not None:
        say(f"  for {target.profile.title}, {target.profile.system(target.system).title}")
    if sign is not None:
        say(f"  signed with {sign}")
    say(
        f"Copy the folder to the device, then follow {out}/README.md; here: mejiro-run verify {out}"
    )


def _app(target: str | None) -> AppTarget | None:
    profile = None if target is None else load_profile(target)
    return profile if isinstance(profile, AppTarget) else None


def _refuse_for_apps(app: AppTarget, **fit: Any) -> None:
    """Raise UsageError for options that speak of Python packages, or sign a bundle's manifest."""
    words = {name: f"--{name}" for name in fit if name != "target"} | {"engines": "--engine"}
    given = [word for name, word in words.items() if fit[name]]
    if given:
        raise UsageError(f"{app.name} is an app, it takes no {', '.join(given)}")


def _target(
    target: str | None,
    system: str | None,
    engines: tuple[str, ...],
    wheels: tuple[Path, ...],
    offline: bool,
) -> TargetOptions | None:
    """Return what the options say of a target; they mean nothing without one."""
    if target is not None:
        return TargetOptions(load_target(target), system, engines, wheels, offline)
    if system is not None or engines or wheels or offline:
        raise UsageError("--system, --engine, --wheels and --offline need a --target")
    return None
