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
    from mejiro_runtime.sensors import Sampler
    from mejiro_runtime.sinks.collect import Collector
    from mejiro_runtime.sinks.web.hub import Facts


class Run:
    """Hold a run's parts, and the sinks that its options ask for; `pipeline` comes last."""

    def __init__(self, bundle: Bundle, model: Model, source: Source) -> None:
        self.bundle, self.model, self.source = bundle, model, source
        self.pipeline: Pipeline | None = None
        self.sinks: list[Sink] = []
        self.sampler: Sampler | None = None
        self.notes: list[str] = []
        self.collector: Collector | None = None

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
        notes = list(self.notes)
        if info.fallback:
            notes.insert(0, f"{info.requested} was asked for, but {info.fallback}.")
        if notes:
            found["notes"] = notes
        if self.collector is not None:
            found["collecting"] = self.collector.state
        if self.sampler is not None and self.sampler.latest is not None:
            found["telemetry"] = self.sampler.latest.to_json()
        if (outages := outages_of(self.source)) is not None:
            now = outages.current
            found["outages"] = outages.count
            found["outage"] = now and {
                "reason": now.reason,
                "seconds": round((perf_counter_ns() - now.began_ns) / 1e9, 1),
            }
        return found

    def watch(self) -> None:
        """Read the machine's sensors from now on, where a run goes on for long or is looked at.

        To be called once the first frame is through: a start has no time for it.
        """
        if self.sampler is None and (self.source.live or self.sinks):
            from mejiro_runtime.sensors import Sampler

            self.sampler = Sampler()
            self.sampler.__enter__()

    def told(self) -> dict[str, Any]:
        """Return what the run's report says besides its timings."""
        value: dict[str, Any] = {}
        if self.sampler is not None and self.sampler.latest is not None:
            value["telemetry"] = self.sampler.latest.to_json()
        if self.collector is not None:
            value["collected"] = self.collector.to_json()
        return value

    def change_model(self, model: Model) -> None:
        """Go on with `model`; it explains if the one before did and it can."""
        if model.card.features:
            model.keep_features = self.model.keep_features
            model.explain_best = self.model.explain_best
        self.model = model

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
    if bool(options.collect) != bool(options.when) or (
        options.collect_limit is not None and not options.collect
    ):
        raise UsageError("--collect DIR and --when CONDITION go together; give both")
    with ExitStack() as stack:
        for option, open_one in OPENERS.items():
            if value := getattr(options, option):
                sink = open_one(value, options, run)
                stack.callback(_close, sink)
                run.sinks.append(sink)
        try:
            yield run
        finally:
            if run.sampler is not None:
                run.sampler.__exit__(None, None, None)


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


def _collect(value: Any, options: argparse.Namespace, run: Run) -> Sink:
    from mejiro_runtime.commands.collecting import open_collector

    run.collector = open_collector(Path(value), options, run.bundle, run.model)
    return run.collector


# Option -> what opens its sink. Each imports what it needs when it is asked for.
OPENERS: dict[str, Callable[[Any, argparse.Namespace, Run], Sink]] = {
    "web": _web,
    "log": _log,
    "video": _video,
    "window": _window,
    "collect": _collect,
}
