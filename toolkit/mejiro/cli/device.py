"""Define `mejiro device`: look after a device that a bundle was deployed to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mejiro import deploy
from mejiro.cli import options
from mejiro.cli.benching_phone import bench_phone, check_bench_options
from mejiro.cli.console import note, print_json, progress, say
from mejiro.cli.deploy import root, ssh_config
from mejiro.cli.deploying_phone import serial
from mejiro.deploy import BenchOptions, Connection
from mejiro.errors import UsageError
from mejiro.phone import PHONE_URL


@click.group()
def device() -> None:
    """Look after a device that a bundle was deployed to.

    \b
    Examples:
      mejiro device status ssh://pi@kitchen.local
      mejiro device logs ssh://pi@kitchen.local --follow
      mejiro device bench ssh://pi@kitchen.local --out kitchen.json
      mejiro device rollback ssh://pi@kitchen.local
    """


def _connect(settings: dict[str, Any]) -> Connection:
    return Connection(settings["url"], root=settings["root"], ssh_config=settings["ssh_config"])


@device.command()
@click.argument("url")
@root
@ssh_config
@options.as_json
def status(**settings: Any) -> None:
    """Tell what runs, since when, how fast, how warm, and how much room is left."""
    with _connect(settings) as connection:
        found = deploy.status(connection)
    if settings["as_json"]:
        print_json(found.to_json())
        return
    say(f"{found.device}: {found.bundle or 'nothing is deployed'} {found.release or ''}".rstrip())
    if found.on_trial:
        say("  on trial: a deploy watches it now")
    if found.run is not None:
        since = "" if found.running_s is None else f", for {_duration(found.running_s)}"
        say(f"  service      {'runs' if found.running else 'does not run'}{since}")
        say(f"  started as   {' '.join(found.run['arguments'])} (by {found.run['manager']})")
        rate = found.frames_per_second
        say(f"  frames       {found.frames}, {'?' if rate is None else f'{rate:.1f}'} a second")
    if found.last_error is not None:
        say(f"  last error   {found.last_error}")
    if found.temperature_celsius is not None:
        say(f"  temperature  {found.temperature_celsius:.1f} °C")
    say(f"  free         {found.free_bytes / 1e9:.1f} GB")
    others = [name for name in found.releases if name != found.release]
    say(f"  kept         {', '.join(others) or 'no other release'}")


def _duration(seconds: float) -> str:
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if days >= 2:
        return f"{days:.0f} days"
    return f"{hours:.1f} hours" if hours >= 2 else f"{minutes:.1f} minutes"


@device.command()
@click.argument("url")
@click.option("--lines", type=click.IntRange(0, 10_000), default=50, show_default=True)
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@root
@ssh_config
def logs(**settings: Any) -> None:
    """Print what the service said."""
    with _connect(settings) as connection:
        deploy.read_log(connection, say, lines=settings["lines"], follow=settings["follow"])


@device.command()
@click.argument("url")
@click.option("--out", type=options.PATH, help="The file to write; default: standard output.")
@click.option(
    "--bundle", type=options.PATH, help="Measure this one instead; it is brought there, not run."
)
@click.option("--source", help="Default: synthetic:640x480.")
@click.option("--frames", type=click.IntRange(1), help="Default: 200.")
@click.option("--sustained", metavar="DURATION", help="Measure for so long: 90s, 10m, 2h.")
@click.option("--artifact", metavar="NAME", help="Which model of the bundle.")
@options.backend
@options.threads
@click.option(
    "--require", multiple=True, metavar="REQUIREMENT", help="Exit with 1 unless it passes."
)
@click.option(
    "--binary", type=options.PATH, help="android: a benchmark_model made for the phone's processor."
)
@serial
@root
@ssh_config
def bench(out: Path | None, bundle: Path | None, **settings: Any) -> int:
    """Measure the current release on the device, or a bundle, and bring the report home.

    With the URL android a benchmark_model that you give is run on the phone that is connected over
    USB, with the .tflite file or the bundle that --bundle names: the engine alone, on random input;
    --backend is then cpu, builtin, gpu or nnapi.

    \b
    Examples:
      mejiro device bench ssh://pi@kitchen.local --out kitchen.json
      mejiro device bench android --binary benchmark_model --bundle cat-finder --out phone.json
    """
    check_bench_options(settings["url"])
    if settings["url"] == PHONE_URL:
        return bench_phone(bundle, out, settings)
    names = ("source", "frames", "sustained", "artifact", "backend", "threads", "require")
    with progress() as shown, _connect(settings) as connection:
        shown.stage("measuring on the device")
        chosen = BenchOptions(**{name: settings[name] for name in names})
        if bundle is None:
            found = deploy.bench(connection, chosen)
        else:
            found = deploy.measure(connection, bundle, chosen)
    if out is None:
        print_json(found.to_json())
    else:
        found.write(out)
        stages = found.report.get("stages", {})
        p50 = stages.get("frame_to_label", {}).get("p50_ns")
        told = "" if p50 is None else f"; frame to label {p50 / 1e6:.2f} ms (p50)"
        say(f"{out}: {found.device}, release {found.release}{told}")
    for judged in found.report.get("requirements", ()):
        note(f"{judged['verdict']} {judged['requirement']} ({judged['why']})")
    return 0 if found.passed else 1


@device.command()
@click.argument("url")
@root
@ssh_config
def rollback(**settings: Any) -> None:
    """Let the release before the current one run; the current one comes back if that fails."""
    with progress() as shown, _connect(settings) as connection:
        shown.stage("going back")
        release = deploy.rollback(connection, on_text=shown.describe)
        say(f"{connection.url}: {release} is current again")


@device.command()
@click.argument("url")
@click.option("--yes", is_flag=True, help="Do not ask.")
@root
@ssh_config
def uninstall(yes: bool, **settings: Any) -> None:
    """Stop the service and remove all that was deployed."""
    with _connect(settings) as connection:
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("uninstall asks first, and nobody can answer here; pass --yes")
            what = f"Remove Mejiro and all its releases from {connection.url}?"
            click.confirm(what, abort=True, err=True)
        found = deploy.uninstall(connection)
        left = f"; {connection.root} holds other files and stays" if found["left"] else ""
        say(f"{connection.url}: removed, {found['freed_bytes'] / 1e6:.1f} MB freed{left}")
