"""Define `mejiro fleet`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mejiro.cli import options
from mejiro.cli.console import note, print_json, print_table, say
from mejiro.cli.deploy import ssh_config as ssh_config_option
from mejiro.cli.fleet_table import live_table
from mejiro.errors import FleetError, UsageError
from mejiro.fleet import FleetReport, Host, read_inventory, roll_out
from mejiro.fleet.deploying import deploy_action
from mejiro.fleet.roll_out import DEFAULT_PARALLEL, MAX_PARALLEL
from mejiro_runtime.files import write_json

inventory_option = click.option(
    "--inventory", type=options.PATH, required=True, help="A TOML file; see docs/fleet.md."
)
group_option = click.option("--group", help="Only the devices of this group.")


@click.group()
def fleet() -> None:
    """Do the same to many devices, listed in an inventory.

    \b
    Examples:
      mejiro fleet hosts --inventory fleet.toml
      mejiro fleet deploy cat-finder --inventory fleet.toml --canary 2
    """


@fleet.command("hosts")
@inventory_option
@group_option
@options.as_json
def hosts(inventory: Path, group: str | None, as_json: bool) -> None:
    """List the devices of an inventory, each with what holds for it in the end.

    \b
    Example:
      mejiro fleet hosts --inventory fleet.toml --group indoor
    """
    chosen = read_inventory(inventory).select(group)
    if as_json:
        print_json([_host_json(host) for host in chosen])
        return
    rows = [
        [
            host.name,
            host.url,
            ", ".join(host.groups),
            ", ".join(f"{name}={value}" for name, value in host.variables.to_json().items()),
        ]
        for host in chosen
    ]
    print_table(["device", "address", "groups", "variables"], rows)


@fleet.command("deploy")
@click.argument("bundle", type=options.PATH)
@inventory_option
@group_option
@click.option(
    "--canary",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Deploy to the first N alone, and go on only if all of them succeed.",
)
@click.option(
    "--max-failures",
    type=click.IntRange(0),
    metavar="N",
    help="Begin no more devices once more than N failed.  [default: try all]",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, MAX_PARALLEL),
    default=DEFAULT_PARALLEL,
    show_default=True,
    help="How many devices at once.",
)
@click.option("--report", type=options.PATH, help="A JSON file to write the report to.")
@ssh_config_option
@options.as_json
def deploy(bundle: Path, inventory: Path, group: str | None, as_json: bool, **how: Any) -> None:
    """Deploy BUNDLE to all devices of an inventory, or to those of a group.

    A device that is away or fails does not hold up the others, and what succeeded is not undone
    by what failed. Exits with 1 if any failed or was not tried, and names them.

    \b
    Example:
      mejiro fleet deploy cat-finder --inventory fleet.toml --canary 2 --max-failures 1
    """
    chosen = read_inventory(inventory).select(group)
    canary = how["canary"]
    if canary > len(chosen):
        raise UsageError(f"--canary {canary} is more than the {len(chosen)} devices there are")
    if not bundle.exists():
        raise UsageError(f"there is no bundle {bundle}; write one with `mejiro bundle`")
    action = deploy_action(bundle, ssh_config=how["ssh_config"])
    with live_table(chosen) as on_change:
        found = roll_out(
            chosen,
            action,
            canary=canary,
            max_failures=how["max_failures"],
            parallel=how["parallel"],
            on_change=on_change,
        )
    if how["report"] is not None:
        write_json(how["report"], found.to_json())
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
        if how["report"] is not None:
            note(f"report: {how['report']}")
    if not found.passed:
        raise FleetError(found.summary)


def _print(found: FleetReport) -> None:
    rows = [
        [
            f"{host.name} (canary)" if host.canary else host.name,
            host.status.value,
            f"{host.duration_ns / 1e9:.1f} s" if host.duration_ns else "",
            host.reason,
        ]
        for host in found.hosts
    ]
    print_table(["device", "state", ">time", ""], rows)
    if found.passed:
        say(found.summary)


def _host_json(host: Host) -> dict[str, object]:
    return {
        "name": host.name,
        "url": host.url,
        "groups": list(host.groups),
        "variables": host.variables.to_json(),
    }
