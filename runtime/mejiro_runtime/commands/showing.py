"""Open the sinks that a run's options ask for, and tell them what only the run knows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from mejiro_runtime import telemetry
from mejiro_runtime.bundle import Bundle
from mejiro_runtime.errors import UsageError
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.sinks import Sink
from mejiro_runtime.sources import Source, outages_of

if TYPE_CHECKING:
    from mejiro_runtime.sinks.web.hub import Facts


class Run:
    """Hold a run's parts, and the sinks that its options ask for; `pipeline` comes last."""

    def __init__(self, bundle: Bundle, model: Model, source: Source) -> None:
        self.bundle, self.model, self.source = bundle, model, source
        self.pipeline: Pipeline | None = None
        self.sinks: list[Sink] = []

    def facts(self) -> Facts:
        """Return what the live page shows and a sink does not know; see `Facts`."""
        info = self.model.info
        found: Facts = {
            "bundle": self.bundle.manifest.name,
            "artifact": self.model.card.file,
            "precision": self.model.card.precision.value,
            "backend": f"{info.engine} {info.version}, {info.accelerator}, {info.threads} threads",
            "source": self.source.description,
            "device": telemetry.board() or telemetry.cpu_model() or "",
            "dropped": self.pipeline.dropped if self.pipeline else {},
        }
        if info.fallback:
            found["notes"] = [f"{info.requested} was asked for, but {info.fallback}."]
        if (outages := outages_of(self.source)) is not None:
            now = outages.current
            found["outages"] = outages.count
            found["outage"] = now and {
                "reason": now.reason,
                "seconds": round((perf_counter_ns() - now.began_ns) / 1e9, 1),
            }
        celsius = telemetry.temperature_celsius()
        if celsius is not None:
            found["telemetry"] = {"temperature_celsius": celsius}
        return found

    def explain(self, on: bool) -> None:
        """Let results bring the activation map of their best class, or no longer."""
        # Kept before they are asked for, and asked for no longer before they are dropped: the
        # model runs in another thread meanwhile.
        if on:
            self.model.keep_features = self.model.explain_best = True
        else:
            self.model.explain_best = self.model.keep_features = False


@contextmanager
def open_sinks(
    options: argparse.Namespace, bundle: Bundle, model: Model, source: Source
) -> Iterator[Run]:
    """Open what `options` ask for besides the terminal, and close it at the end."""
    run = Run(bundle, model, source)
    if options.web_token_file and not options.web:
        raise UsageError("--web-token-file needs --web")
    with ExitStack() as stack:
        for option, open_one in OPENERS.items():
            if value := getattr(options, option):
                sink = open_one(value, options, run)
                stack.callback(_close, sink)
                run.sinks.append(sink)
        yield run


def _close(sink: Sink) -> None:
    sink.close()
    if summary := getattr(sink, "summary", None):
        sys.stderr.write(f"{summary}\n")


def _web(value: Any, options: argparse.Namespace, run: Run) -> Sink:
    from mejiro_runtime.sinks.web.access import Access, Address
    from mejiro_runtime.sinks.web.sink import WebSink

    token_file = Path(options.web_token_file) if options.web_token_file else None
    access = Access.to(Address.parse(value), token_file)
    sink = WebSink(access, run.facts, run.explain if run.model.card.features else None)
    sys.stderr.write(f"live page: {sink.url}\n")
    if access.token and sys.stderr.isatty():
        from mejiro_runtime.sinks.qr import draw_on_terminal, encode

        sys.stderr.write(draw_on_terminal(encode(sink.url.encode())))
    sys.stderr.flush()
    return sink


def _log(value: Any, options: argparse.Namespace, run: Run) -> Sink:
    from mejiro_runtime.sinks.jsonlines import LogFileSink

    return LogFileSink(Path(value))


def _video(value: Any, options: argparse.Namespace, run: Run) -> Sink:
    from mejiro_runtime.sinks.videofile import VideoFileSink

    rate = getattr(run.source, "fps", None)
    return VideoFileSink(Path(value), live=run.source.live, frames_per_second=rate)


def _window(value: Any, options: argparse.Namespace, run: Run) -> Sink:
    from mejiro_runtime.sinks.window import WindowSink

    return WindowSink(f"Mejiro: {run.bundle.manifest.name}")


# Option -> what opens its sink. Each imports what it needs when it is asked for.
OPENERS: dict[str, Callable[[Any, argparse.Namespace, Run], Sink]] = {
    "web": _web,
    "log": _log,
    "video": _video,
    "window": _window,
}
