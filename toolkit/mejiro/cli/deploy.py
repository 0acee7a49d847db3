"""Define `mejiro deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mejiro.cli import options
from mejiro.cli.console import note, print_json, progress, say
from mejiro.cli.deploying_phone import check_options, deploy_to_phone, phone_options
from mejiro.deploy import (
    Clock,
    Connection,
    DeployOptions,
    Manager,
    Plan,
    Progress,
    ServiceOptions,
    plan_deploy,
)
from mejiro.deploy import (
    deploy as deploy_bundle,
)
from mejiro.errors import UsageError
from mejiro.phone import PHONE_URL

SERVICE_NAMES = ("source", "web", "log", "artifact", "backend", "threads", "manager")

ssh_config = click.option(
    "--ssh-config", type=options.PATH, help="A configuration for ssh instead of the user's own."
)
root = click.option(
    "--root", metavar="DIR", help="The folder on the device; default: ~/mejiro, or that of local:."
)


def _service_options(function: Any) -> Any:
    """Add what says how the service runs."""
    for option in reversed(
        (
            click.option("--service", is_flag=True, help="Run it, now and after each boot."),
            click.option("--source", help="With --service: what to look at; default: camera:0."),
            click.option("--web", metavar="HOST:PORT", help="With --service: the live page."),
            click.option("--log", metavar="FILE", help="With --service: a line for each frame."),
            click.option("--artifact", metavar="NAME", help="With --service: which model."),
            click.option("--backend", metavar="NAME[:VARIANT]", help="With --service: an engine."),
            click.option("--threads", type=click.IntRange(1, 256), help="With --service."),
            click.option(
                "--manager",
                type=click.Choice([one.value for one in Manager]),
                help="With --service: what keeps it running; default: the best that is there.",
            ),
        )
    ):
        function = option(function)
    return function


@click.command()
@click.argument("bundle", type=options.PATH)
@click.argument("url")
@_service_options
@click.option(
    "--require",
    multiple=True,
    metavar="REQUIREMENT",
    help="Go back unless it passes: 'age.p95<200ms', 'fps>=15', …; may be given again.",
)
@click.option(
    "--signers",
    type=options.PATH,
    help="The allowed signers of a first deploy; from then on only their bundles are taken.",
)
@click.option("--no-tune", is_flag=True, help="Leave out the search for the fastest engine.")
@click.option(
    "--clock",
    type=click.Choice([one.value for one in Clock]),
    default=Clock.REFUSE.value,
    show_default=True,
    help="What to do about a device's clock that is wrong by more than a day.",
)
@click.option(
    "--gate-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    metavar="SECONDS",
    help="How long the service may take to be well; default: 120.",
)
@root
@ssh_config
@phone_options
@click.option("--dry-run", is_flag=True, help="Print the plan and change nothing.")
@options.as_json
def deploy(bundle: Path, url: str, **settings: Any) -> int:
    """Take BUNDLE to the device at URL: upload, verify, tune, try, switch, watch; or go back.

    URL is ssh://[user@]host[:port], or local:DIR for a folder of this machine. What ran on the
    device before runs until the new release is known to be well, and again if it is not.

    With the URL android BUNDLE may be a site as well: its page is opened on the phone that is
    connected over USB, and its report is waited for; --source is then camera or golden, --backend
    wasm or webgpu.

    \b
    Examples:
      mejiro deploy cat-finder ssh://pi@kitchen.local --service
      mejiro deploy cat-finder ssh://pi@kitchen.local --service --require 'age.p95<200ms'
      mejiro deploy cat-finder ssh://pi@kitchen.local --dry-run
      mejiro deploy site android --frames 500
    """
    check_options(url)
    if url == PHONE_URL:
        return deploy_to_phone(bundle, settings)
    chosen = DeployOptions(
        service=_service(settings),
        require=settings["require"],
        signers=settings["signers"],
        tune=not settings["no_tune"],
        clock=Clock(settings["clock"]),
        gate_timeout_s=settings["gate_timeout"],
    )
    as_json = settings["as_json"]
    with Connection(url, root=settings["root"], ssh_config=settings["ssh_config"]) as connection:
        if settings["dry_run"]:
            plan = plan_deploy(connection, bundle, chosen)
            print_json(plan.to_json()) if as_json else _print_plan(plan)
            return 0
        with progress() as shown:

            def tell(step: Progress) -> None:
                shown.stage(f"{step.step.value}: {step.text}")
                if step.total:
                    shown.advance(step.done or 0, step.total)

            on_plan = None if as_json else _print_plan
            done = deploy_bundle(connection, bundle, chosen, on_step=tell, on_plan=on_plan)
    if as_json:
        print_json(done.to_json())
        return 0
    for text in done.notes:
        note(f"note: {text}")
    if done.signed_by is not None:
        say(f"signed by {done.signed_by}")
    for judged in done.judgements:
        say(f"{judged['verdict']} {judged['requirement']} ({judged['why']})")
    say(
        f"{done.device}: {done.release} {'runs' if done.plan.run else 'is installed'}; "
        f"{done.uploaded_files} files and {done.uploaded_bytes / 1e6:.2f} MB uploaded, "
        f"{sum(done.seconds.values()):.1f} s"
    )
    return 0


def _service(settings: dict[str, Any]) -> ServiceOptions | None:
    given = {name: settings[name] for name in SERVICE_NAMES if settings[name] is not None}
    if not settings["service"]:
        if given:
            raise UsageError(f"--{next(iter(given))} says how a service runs; add --service")
        return None
    if "manager" in given:
        given["manager"] = Manager(given["manager"])
    return ServiceOptions(**given)


def _print_plan(plan: Plan) -> None:
    for line in plan.lines():
        say(line)
