"""Deploy to a phone, for `mejiro deploy … android`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mejiro.cli import options
from mejiro.cli.comparing_devices import print_reports
from mejiro.cli.console import note, print_json, progress, say, say_all
from mejiro.cli.deploying_package import APK_SUFFIX, deploy_package
from mejiro.cli.options import Function
from mejiro.errors import UsageError
from mejiro.phone import PHONE_URL, Adb, PageOptions, PhonePage, plan_page
from mejiro.serve import Received, open_contents

DEFAULT_WAIT_S = 300.0
# Parameters that mean something for a phone alone, and for all other devices alone.
PHONE_ONLY = ("serial", "wait", "frames", "keep", "apk", "key", "reports")
OTHERS_ONLY = (
    "service", "web", "log", "artifact", "manager", "require", "signers", "no_tune", "clock",
    "gate_timeout", "root", "ssh_config",
)  # fmt: skip

serial = click.option("--serial", help="Which phone, if several are connected (`adb devices`).")

_OPTIONS = (
    serial,
    click.option(
        "--wait",
        type=click.FloatRange(min=0, min_open=True),
        default=DEFAULT_WAIT_S,
        metavar="SECONDS",
        help="android: how long the phone's report may take; default: 300.",
    ),
    click.option("--frames", type=click.IntRange(1), help="android: how many; default: 300."),
    click.option("--keep", is_flag=True, help="android: go on serving until Ctrl-C."),
    click.option("--apk", is_flag=True, help="android: as a package that is installed."),
    click.option("--key", metavar="NAME", help="android: signs the package (see `mejiro keys`)."),
    click.option(
        "--reports",
        type=options.PATH,
        default=Path("reports"),
        metavar="DIR",
        help="android: the folder for the report; default: reports.",
    ),
)


def phone_options(function: Function) -> Function:
    """Add what may be said of a deploy to a phone."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def check_options(url: str) -> None:
    """Raise UsageError for an option on the command line that means nothing for `url`."""
    context = click.get_current_context()
    phone = url == PHONE_URL
    for name in OTHERS_ONLY if phone else PHONE_ONLY:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = "--" + name.replace("_", "-")
            why = (
                "means nothing on a phone, where a page or a package is opened"
                if phone
                else f"is for a phone; its URL is '{PHONE_URL}'"
            )
            raise UsageError(f"{option} {why}; leave it out")


def deploy_to_phone(path: Path, settings: dict[str, Any]) -> int:
    """Put a site, that of a bundle, or a package on a phone; return 1 unless all was well."""
    if path.suffix == APK_SUFFIX or settings["apk"]:
        return deploy_package(path, settings)
    if settings["key"] is not None:
        raise UsageError("--key signs a package; add --apk, or leave it out")
    return _deploy_page(path, settings)


def _deploy_page(path: Path, settings: dict[str, Any]) -> int:
    page = PageOptions(
        source=settings["source"] or "camera",
        frames=settings["frames"],
        backend=settings["backend"],
        threads=settings["threads"],
    )
    adb = Adb.connect(settings["serial"])
    contents = open_contents(path)
    plan = plan_page(adb, contents, page)
    as_json = settings["as_json"]
    if settings["dry_run"] or not as_json:
        print_json(plan.to_json()) if as_json else say_all(plan.lines())
    if settings["dry_run"]:
        return 0
    later = _Later(as_json=as_json)
    with (
        PhonePage(adb, contents, page, reports=settings["reports"], on_report=later.tell) as opened,
        progress() as shown,
    ):
        shown.stage("opening the page")
        opened.open()
        shown.stage("waiting for the phone's report")
        received = opened.wait(settings["wait"])
        try:
            _show(received, plan.to_json() | {"url": opened.url}, as_json=as_json)
            if settings["keep"]:
                shown.stage("serving until Ctrl-C")
                threading.Event().wait()
        except KeyboardInterrupt:
            if not settings["keep"]:
                raise
            note("ended")
    return 0 if received.passed else 1


class _Later:
    """Tell of the reports that come after the first, which is shown by itself."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json, self._seen = as_json, 0

    def tell(self, received: Received) -> None:
        self._seen += 1
        if self._seen > 1:
            print_json(received.to_json()) if self._as_json else say(f"report: {received.line()}")


def _show(received: Received, facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts | received.to_json())
        return
    if received.report is not None:
        print_reports([received.report])
    say(f"report: {received.path}")
    if received.error is not None:
        note(f"the page failed: {received.error}")
    elif received.verified is None:
        note("the page did not replay the golden frames")
    elif not received.verified:
        note(f"the golden frames came out wrong; see {received.path}")
