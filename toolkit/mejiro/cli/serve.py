"""Define `mejiro serve`."""

from __future__ import annotations

import json
import threading
import webbrowser
from pathlib import Path
from typing import Any

import click

from mejiro.cli import options
from mejiro.cli.console import note, say
from mejiro.errors import UsageError
from mejiro.serve import (
    Identity,
    Received,
    ReportBox,
    ServeOptions,
    SiteServer,
    given_identity,
    open_contents,
    own_identity,
)
from mejiro.serve.addresses import own_names
from mejiro_runtime.interrupts import end_well_on_sigterm
from mejiro_runtime.sinks.qr import draw_on_terminal, encode
from mejiro_runtime.sinks.web.access import is_loopback


@click.command()
@click.argument("site", type=options.PATH)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="0.0.0.0 lets other machines in: over HTTPS, with a token.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: one that is free.")
@click.option(
    "--reports",
    type=options.PATH,
    default=Path("reports"),
    show_default=True,
    help="The folder for what pages send home.",
)
@click.option("--no-reports", is_flag=True, help="Take none.")
@click.option("--certificate", type=options.PATH, help="Your own, as PEM, instead of a new one.")
@click.option("--key", type=options.PATH, help="The private key of --certificate.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser here.")
@click.option("--json", "as_json", is_flag=True, help="Write events as lines of JSON.")
def serve(site: Path, **settings: Any) -> None:
    """Serve SITE, what `mejiro bundle --target android-web` wrote, or a bundle's, until Ctrl-C.

    A phone's browser gives a page its camera only over HTTPS or from localhost. So a phone comes
    in over USB (`mejiro deploy SITE android`), or over the network with --host 0.0.0.0: then a
    certificate is made, whose fingerprint is printed to compare.

    \b
    Examples:
      mejiro serve site --open
      mejiro serve site --host 0.0.0.0 --port 8443
      mejiro compare reports/*.json
    """
    contents = open_contents(site)
    identity = _identity(settings)
    box = None if settings["no_reports"] else ReportBox(settings["reports"])
    told = _Told(as_json=settings["as_json"])
    chosen = ServeOptions(
        host=settings["host"],
        port=settings["port"],
        tls=None if identity is None else identity.context(),
        reports=box,
        on_report=told.report,
    )
    end_well_on_sigterm()
    with SiteServer(contents, chosen) as server:
        try:
            told.serving(server, identity)
            if settings["open_page"]:
                webbrowser.open(server.url)
            threading.Event().wait()
        except KeyboardInterrupt:
            told.stopped()


def _identity(settings: dict[str, Any]) -> Identity | None:
    """Return the certificate to serve with; none on loopback, unless one is given."""
    certificate, key = settings["certificate"], settings["key"]
    if (certificate is None) != (key is None):
        raise UsageError("--certificate and --key belong together; give both or neither")
    if certificate is not None:
        return given_identity(certificate, key)
    host = settings["host"]
    return None if is_loopback(host) else own_identity(own_names(ipv6=":" in host))


class _Told:
    """Print what happens: sentences for people, or events as lines of JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def _event(self, name: str, **facts: Any) -> None:
        say(json.dumps({"event": name, **facts}, ensure_ascii=False))

    def serving(self, server: SiteServer, identity: Identity | None) -> None:
        contents = server.contents
        if self._as_json:
            self._event(
                "serving",
                url=server.url,
                site=contents.name,
                version=contents.version,
                fingerprint=identity and identity.fingerprint,
            )
            return
        say(f"{contents.name} ({contents.version}): {server.url}")
        if identity is not None:
            say(f"certificate SHA-256 {identity.fingerprint}")
        if not is_loopback(server.options.host):
            click.echo(draw_on_terminal(encode(server.url.encode())), nl=False)
            note("the browser warns of a certificate it does not know: compare the fingerprint")
        note("Ctrl-C ends it")

    def report(self, received: Received) -> None:
        if self._as_json:
            self._event("report", **received.to_json())
        else:
            say(f"report: {received.line()}")

    def stopped(self) -> None:
        if self._as_json:
            self._event("stopped")
