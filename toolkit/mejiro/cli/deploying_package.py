"""Install a package on a phone, for `mejiro deploy … android`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mejiro.apk import Apk, ApkOptions, open_apk, write_apk
from mejiro.apk.keys import find_key, open_key
from mejiro.cli.console import print_json, progress, say, say_all
from mejiro.cli.keys import ask_passphrase
from mejiro.errors import UsageError
from mejiro.phone import Adb, install_apk, plan_apk
from mejiro.serve import opened_site

APK_SUFFIX = ".apk"
# What a page is told by its address; an app has none, and sends no report home.
OF_PAGES = ("wait", "frames", "keep", "reports", "source", "backend", "threads")


def deploy_package(path: Path, settings: dict[str, Any]) -> int:
    """Install the package at `path`, or one made of the site or bundle there, and start it."""
    _refuse_options_of_pages()
    with _package(path, settings) as apk:
        adb = Adb.connect(settings["serial"])
        plan = plan_apk(adb, apk)
        told = plan.to_json() | {"package": apk.identity.package, "component": apk.component}
        if settings["as_json"]:
            print_json(told | {"signer": apk.fingerprint})
        else:
            say_all(plan.lines())
        if settings["dry_run"]:
            return 0
        with progress() as shown:
            shown.stage("installing")
            install_apk(adb, apk)
        if not settings["as_json"]:
            say(f"{apk.identity.label} runs on {plan.phone}; its page can share a report as a file")
    return 0


@contextmanager
def _package(path: Path, settings: dict[str, Any]) -> Iterator[Apk]:
    """Give the package at `path`, or one that lasts as long as the block."""
    if path.suffix == APK_SUFFIX:
        if settings["key"] is not None:
            raise UsageError(f"{path} is signed already; leave --key out")
        if not path.is_file():
            raise UsageError(f"{path} is no file; write one with --target android-apk")
        yield open_apk(path)
        return
    key = open_key(find_key(settings["key"]), ask_passphrase)
    with opened_site(path) as site, tempfile.TemporaryDirectory(prefix="mejiro-apk-") as folder:
        yield write_apk(site, Path(folder) / f"{site.name}{APK_SUFFIX}", ApkOptions(key=key))


def _refuse_options_of_pages() -> None:
    context = click.get_current_context()
    for name in OF_PAGES:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(
                f"--{name} is for a page in the phone's browser; leave it or --apk out"
            )
