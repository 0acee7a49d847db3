"""Train a network on a set of pictures, from the first pixel to the model folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mejiro.data.dataset import Dataset, HashedPicture
from mejiro.data.pixels import decode_pixels
from mejiro.errors import DataError, UsageError
from mejiro.model import FloatModel
from mejiro.train.checkpoint import Standing, read_checkpoint
from mejiro.train.events import Events, Interrupted, Stop, StopAsked, stop_when_asked
from mejiro.train.folder import (
    HISTORY,
    PREDICTIONS,
    Run,
    begin_run,
    check_free,
    check_same,
    hash_pictures,
    hash_weights,
    open_run,
    write_predictions,
)
from mejiro.train.freezing import frozen_count
from mejiro.train.history import write_history
from mejiro.train.loop import CHECKPOINT_SECONDS, Session, Side, run_phases
from mejiro.train.machine import Machine, precision, prepare
from mejiro.train.network import Network, open_network
from mejiro.train.settings import Settings
from mejiro.train.steps import answer_all, compile_answers
from mejiro.zoo import save_float_model
from mejiro_runtime.card import Scores


@dataclass(frozen=True)
class Conduct:
    """Say how a run is carried out; none of it changes what comes out.

    `command` is kept for whoever goes on with the run. `checkpoint_seconds` is the longest time
    between two checkpoints.
    """

    machine: Machine = field(default_factory=Machine)
    tensorboard: bool = False
    keep_cache: bool = False
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    command: Mapping[str, Any] = field(default_factory=dict)


def train(
    dataset: Dataset,
    settings: Settings,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    conduct: Conduct | None = None,
    events: Events | None = None,
) -> Run:
    """Train on `dataset` as `settings` say, in the folder `out`; return the finished run.

    `resume` goes on with the run there, from its last checkpoint, to the same weights as if it
    had never stopped; `force` replaces it. Raises UsageError for a folder that is taken, a run
    that is another one or finished, or a machine that cannot do what is asked; DataError for
    pictures or checkpoints that cannot be used; Interrupted after Ctrl-C.
    """
    conduct, events = conduct or Conduct(), events or Events()
    if resume:
        check_unfinished(open_run(out))
    elif not force:
        check_free(out)
    _check_sides(dataset)
    strategy = prepare(conduct.machine, mixed_precision=settings.mixed_precision)
    events.stage(f"opening {settings.model}")
    with strategy.scope(), precision(mixed=settings.mixed_precision):
        network = open_network(settings, len(dataset.labels))
    for phase in settings.phases:  # refuses a layer that there is not, before anything is written
        frozen_count(phase.freeze, network.backbone)
    run = Run(
        folder=out,
        settings=settings,
        data=hash_pictures(dataset),
        start=hash_weights(network.whole.weights),
        command=conduct.command,
    )
    if resume:
        check_same(open_run(out), run)
    else:
        begin_run(run, dataset, force=force)
    with stop_when_asked() as stop:
        try:
            session = _open_session(run, dataset, network, strategy, stop, conduct, events)
            checkpoint = read_checkpoint(run.checkpoint) if resume else None
            if checkpoint is not None:
                session.standing = checkpoint.standing
            run_phases(session, checkpoint)
        except StopAsked:
            raise Interrupted(f"stopped before the first step; {run.how_to_go_on}") from None
    _finish(session, dataset, keep_cache=conduct.keep_cache)
    return run


def check_unfinished(run: Run) -> None:
    """Raise UsageError if there is nothing left to train."""
    if run.finished:
        raise UsageError(
            f"the run in {run.folder} is finished; its model is {run.model}, and --force trains "
            "it anew"
        )


def _check_sides(dataset: Dataset) -> None:
    for name, pictures in (("train on", dataset.train), ("validate with", dataset.val)):
        if not pictures:
            raise DataError(f"{dataset.name} has no pictures to {name}; add some, or change --val")


def _open_session(
    run: Run,
    dataset: Dataset,
    network: Network,
    strategy: Any,
    stop: Stop,
    conduct: Conduct,
    events: Events,
) -> Session:
    """Decode the pictures; return what the phases share."""

    def decode(pictures: tuple[HashedPicture, ...]) -> Side:
        def progress(done: int, total: int) -> None:
            events.progress(done, total)
            stop.check()

        events.stage(f"decoding {len(pictures)} pictures")
        rows = decode_pixels(pictures, network.input, run.cache, on_progress=progress)
        return Side(rows, np.array([picture.label_index for picture in pictures], np.int32))

    return Session(
        run=run,
        network=network,
        strategy=strategy,
        train=decode(dataset.train),
        val=decode(dataset.val),
        standing=Standing(),
        events=events,
        stop=stop,
        tensorboard=conduct.tensorboard,
        checkpoint_seconds=conduct.checkpoint_seconds,
    )


def _finish(session: Session, dataset: Dataset, *, keep_cache: bool) -> None:
    """Write what came of the run; the checkpoint goes last, so that this can be done again."""
    run, network = session.run, session.network
    session.events.stage("writing the model")
    if run.settings.mixed_precision:
        network = _in_float32(session, len(dataset.labels))
    answers = answer_all(
        compile_answers(network.whole, network.input), session.val.rows, run.settings.batch_size
    )
    write_predictions(run.folder / PREDICTIONS, answers, dataset)
    write_history(run.folder / HISTORY, session.standing.history)
    save_float_model(_float_model(session, network, dataset), run.model)
    if not keep_cache:
        shutil.rmtree(run.cache, ignore_errors=True)
    shutil.rmtree(run.checkpoint)


def _in_float32(session: Session, classes: int) -> Network:
    """Return the network without its mixed precision, which no other stage can use."""
    network = open_network(session.run.settings, classes)
    for new, old in zip(network.whole.weights, session.network.whole.weights, strict=True):
        new.assign(old.numpy())
    return network


def _float_model(session: Session, network: Network, dataset: Dataset) -> FloatModel:
    run, best = session.run, session.standing.best
    trained: dict[str, Any] = {
        "data": dataset.name,
        "data_sha256": run.data,
        "train": len(dataset.train),
        "val": len(dataset.val),
        "seed": run.settings.seed,
        "epochs": len(session.standing.history),
    }
    if best is not None:
        trained |= {"kept_epoch": best.place + 1, "val_accuracy": best.accuracy}
    return FloatModel(
        name=network.name,
        keras_model=network.whole,
        input=network.input,
        labels=dataset.labels,
        scores=Scores.PROBABILITIES,
        lineage={**network.lineage, "trained": trained},
    )
