"""Open what a command works on, and say what it is."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from mejiro_runtime import android, telemetry
from mejiro_runtime.bundle import Bundle, open_bundle, tuned_path
from mejiro_runtime.errors import SpecError, UsageError
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.selection import choose_card


def open_chosen(options: argparse.Namespace, *, top: int = 5) -> tuple[Bundle, Model, int]:
    """Return the bundle, its chosen model, and the nanoseconds that loading it took.

    What `options` hold of `threshold` and `smooth` is the model's; not all commands have them.
    What `mejiro-run tune` chose is taken where the options leave the choice, and said.
    """
    bundle = open_bundle(Path(options.bundle))
    options.artifact_given = options.artifact is not None
    use_tuned(bundle, options)
    return (bundle, *open_artifact(bundle, options, top=top))


def use_tuned(bundle: Bundle, options: argparse.Namespace) -> None:
    """Put what was tuned for `bundle` into `options` that name neither artifact nor engine."""
    if (options.artifact, options.backend, options.threads) != (None, None, None):
        return
    path = tuned_path(bundle.folder)
    if not path.exists():
        return
    from mejiro_runtime.tuned import read_tuned, why_stale

    try:
        tuned = read_tuned(bundle.folder)
        stale = why_stale(tuned, tuned.choice, bundle)
    except SpecError as error:
        stale, tuned = str(error), None
    if stale is not None or tuned is None:
        sys.stderr.write(f"not tuned: {stale}; run `mejiro-run tune` again\n")
        return
    choice = tuned.choice
    options.artifact, options.backend = choice.artifact, choice.backend
    options.threads = choice.threads
    sys.stderr.write(
        f"tuned: {choice.artifact} on {choice.backend}, {choice.threads} threads ({path})\n"
    )


def open_artifact(
    bundle: Bundle, options: argparse.Namespace, *, top: int = 5, artifact: str | None = None
) -> tuple[Model, int]:
    """Return the model called `artifact`, else the chosen one, and the nanoseconds to load it."""
    card = choose_card(bundle, artifact=artifact or options.artifact, backend=options.backend)
    start = perf_counter_ns()
    model = open_model(
        bundle.model_path(card),
        card,
        backend=options.backend,
        threads=options.threads,
        allow_fallback=options.allow_fallback,
        top=top,
        threshold=getattr(options, "threshold", None),
        smooth=getattr(options, "smooth", None),
    )
    load_ns = perf_counter_ns() - start
    # What the start made stays to the end; to search it for garbage would hold up some frame.
    gc.freeze()
    gc.enable()
    return model, load_ns


def check_positive(value: int | None, name: str) -> None:
    """Raise UsageError for an option below 1."""
    if value is not None and value < 1:
        raise UsageError(f"--{name} must be 1 or more, found {value}")


def context(bundle: Bundle, model: Model, source: str) -> dict[str, Any]:
    """Return what every report says of its surroundings."""
    return {
        "bundle": bundle.manifest.name,
        "artifact": model.card.file,
        "precision": model.card.precision.value,
        "backend": model.info.to_json(),
        "kernel": model.preprocessor.kernel.name,
        "source": source,
        "device": telemetry.describe_machine(),
        "temperature_celsius": telemetry.temperature_celsius(),
        **({"battery": battery} if (battery := android.battery()) else {}),
    }
