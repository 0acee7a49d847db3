"""Open the collector of frames that a run's options ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

from mejiro_runtime.bundle import Bundle
from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.commands.opening import check_positive
from mejiro_runtime.errors import UsageError
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.sinks.collect import (
    DEFAULT_LIMIT,
    Collector,
    Disagreement,
    parse_condition,
)


def open_collector(
    folder: Path, options: argparse.Namespace, bundle: Bundle, running: Model
) -> Collector:
    """Return what keeps frames in `folder`; a Disagreement opens the other artifact as well."""
    check_positive(options.collect_limit, "collect-limit")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder to collect frames in")
    condition = parse_condition(options.when)
    second: Model | None = None
    about = {"bundle": bundle.manifest.name, "artifact": running.card.file}
    if isinstance(condition, Disagreement):
        if options.keep_fps is not None:
            raise UsageError("--when disagree needs one artifact to run; leave out --keep-fps")
        card = other_card(bundle, running.card, condition)
        about["other"] = card.file
        # One thread, in the collector's own: the run keeps its cores as far as that goes.
        second = open_model(bundle.model_path(card), card, threads=1, top=options.top)
    try:
        return Collector(
            folder,
            condition,
            when=options.when,
            limit=options.collect_limit or DEFAULT_LIMIT,
            second=second,
            about=about,
            on_close=None if second is None else second.close,
        )
    except BaseException:
        if second is not None:
            second.close()
        raise


def other_card(bundle: Bundle, running: ArtifactCard, condition: Disagreement) -> ArtifactCard:
    """Return the artifact that `running` is compared with; raises UsageError if it is neither."""
    names = (condition.one, condition.other)
    mine = [name for name in names if name in _names(running)]
    if not mine:
        raise UsageError(
            f"{running.file} runs, which is neither {names[0]} nor {names[1]}; name it, or give "
            "--artifact"
        )
    name = names[1 - names.index(mine[0])]
    for card in bundle.manifest.artifacts:
        if name in _names(card) and card.file != running.file:
            return bundle.card(card.file)
    raise UsageError(f"the bundle has no other artifact '{name}' to compare {running.file} with")


def _names(card: ArtifactCard) -> tuple[str, str, str]:
    return card.file, card.name, card.precision.value
