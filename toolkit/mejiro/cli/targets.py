"""Define `mejiro targets`."""

from __future__ import annotations

import click

from mejiro.cli import options
from mejiro.cli.console import print_json, print_table, say
from mejiro.targets import (
    AddOn,
    AppTarget,
    TargetProfile,
    TargetSystem,
    load_profile,
    profile_names,
)


@click.command()
@click.argument("name", required=False)
@options.as_json
def targets(name: str | None, as_json: bool) -> None:
    """List the devices that a bundle can be made for, or tell all about one.

    NAME is one of the list, or a TOML file of your own. The first system and the first engine of
    a format are the ones taken unless `mejiro bundle` is told otherwise.

    \b
    Examples:
      mejiro targets
      mejiro targets raspberry-pi-5
    """
    profiles = [load_profile(one) for one in ([name] if name else profile_names())]
    if as_json:
        values = [profile.to_json() for profile in profiles]
        print_json(values[0] if name else values)
        return
    if name is not None:
        _tell(profiles[0])
        return
    print_table(
        ["target", "device", "architecture", "systems", "engines"],
        [_row(profile) for profile in profiles],
    )


def _row(profile: TargetProfile | AddOn | AppTarget) -> list[str]:
    if isinstance(profile, AddOn):
        return [profile.name, profile.title, "", "add-on", ""]
    if isinstance(profile, AppTarget):
        return [profile.name, profile.title, "", "app", ", ".join(profile.engines)]
    engines = [one.distribution for system in profile.systems for one in system.backends]
    return [
        profile.name,
        profile.title,
        profile.architecture.value,
        ", ".join(system.name for system in profile.systems),
        ", ".join(dict.fromkeys(engines)),
    ]


def _tell(profile: TargetProfile | AddOn | AppTarget) -> None:
    say(f"{profile.name}: {profile.title}")
    if isinstance(profile, AddOn):
        say(f"  joins         {', '.join(profile.joins)}")
        say(f"  apt           {' '.join(profile.apt)}")
        say(f"  note          {profile.note}")
        return
    if isinstance(profile, AppTarget):
        say(f"  written as    {profile.form.value}")
        say(f"  engines       {', '.join(profile.engines)}")
        say(f"  note          {profile.note}")
        return
    say(f"  architecture  {profile.architecture.value}")
    say(f"  quantization  {profile.quantization.value}")
    say(f"  threads       {profile.threads or 'the CPUs, at most 4'}")
    say(f"  cameras       {', '.join(profile.cameras) or 'none'}")
    manager = profile.system().package_manager.value
    say(f"  {manager:<13} {' '.join(profile.apt) or 'nothing'}")
    say(f"  started by    {profile.service_manager.value}")
    for system in profile.systems:
        _tell_system(system)


def _tell_system(system: TargetSystem) -> None:
    sees = ", sees the system's packages" if system.system_site_packages else ""
    glibc = f"glibc {system.glibc}" if system.glibc else "no glibc"
    say(f"{system.name}: {system.title}, Python {system.python}, {glibc}{sees}")
    for backend in system.backends:
        note = f" (bring it: {backend.source})" if backend.source else ""
        if backend.opset and backend.ir:
            note += f" (files up to opset {backend.opset}, IR version {backend.ir})"
        say(f"  {f'.{backend.format.value}':<13} {backend.package}{note}")
    for package in system.packages:
        say(f"  {'':<13} {package}")
    for one in system.provided:
        manager = system.package_manager.value
        say(f"  {'':<13} {one.package} {one.version} from {manager}'s {one.apt}")
