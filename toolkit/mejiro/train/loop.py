"""Run the epochs of each phase, validate, keep the best weights, and stop in time.

All state that decides what comes next is in the variables and in `Standing`; everything else is
made again from the settings when a run goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.augment import augmentation_layer
from mejiro.data.augmentation import Flip
from mejiro.train.batches import batch_count, batches, class_weights, epoch_order, take
from mejiro.train.checkpoint import (
    Best,
    Checkpoint,
    Standing,
    is_better,
    restore_best,
    write_best,
    write_checkpoint,
)
from mejiro.train.events import Diverged, Events, Interrupted, StepReport, Stop, StopAsked
from mejiro.train.features import pooled_features
from mejiro.train.folder import HISTORY, TENSORBOARD, Run
from mejiro.train.folding import folded
from mejiro.train.freezing import FreezeKind, frozen, frozen_count
from mejiro.train.history import EpochRecord, write_events, write_history
from mejiro.train.losses import LossFunction, make_loss
from mejiro.train.network import Network
from mejiro.train.optimizers import layer_factors, make_optimizer, rate_at
from mejiro.train.seeding import seed_draws
from mejiro.train.settings import BatchNorm, Phase
from mejiro.train.steps import Inputs, Sums, TrainStep, answer_all, compile_answers

CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Side:
    """Hold the pictures of one side as a network reads them, and their classes."""

    rows: NDArray[Any]
    truth: NDArray[np.int32]


@dataclass(eq=False)
class Session:
    """Hold what all phases of a run share."""

    run: Run
    network: Network
    strategy: Any
    train: Side
    val: Side
    standing: Standing
    events: Events
    stop: Stop
    tensorboard: bool = False
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    @property
    def weights(self) -> list[Any]:
        """The variables that make the trained network, without the state of random draws."""
        return list(self.network.whole.weights)

    def progress(self, done: int, total: int) -> None:
        """Tell how far a stage is, and raise StopAsked if the run was asked to stop."""
        self.events.progress(done, total)
        self.stop.check()


def run_phases(session: Session, checkpoint: Checkpoint | None) -> None:
    """Train through all phases from where the run stands; the network then has the best weights.

    Raises Interrupted, after keeping a checkpoint, when the session's `stop` was asked.
    """
    standing, settings = session.standing, session.run.settings
    for number, phase in enumerate(settings.phases):
        if number < standing.phase:
            continue
        if number > standing.phase:
            standing.phase, standing.epoch, standing.step = number, 0, 0
            standing.stale, standing.peak = 0, None
            _use_best(session)
        with _open_phase(session, number, phase) as running:
            if checkpoint is not None:
                checkpoint.restore(running.variables)
                checkpoint = None
            _run_epochs(session, running)
    _use_best(session)


def _use_best(session: Session) -> None:
    best = session.standing.best
    if best is not None:
        restore_best(session.run.checkpoint, best.file, session.weights)


@dataclass(eq=False)
class _Running:
    """Hold what one phase runs with. `variables` are all that a checkpoint keeps."""

    phase: Phase
    train: Side
    val: Side
    step: TrainStep
    answers: Any
    optimizer: Any
    trained: list[Any]
    variables: list[Any]
    val_loss: LossFunction

    def steps(self, batch_size: int) -> int:
        return batch_count(len(self.train.rows), batch_size)


@contextmanager
def _open_phase(session: Session, number: int, phase: Phase) -> Iterator[_Running]:
    """Freeze layers, take the pictures or their features, compile the steps."""
    settings, network = session.run.settings, session.network
    augmentation = settings.augmentation
    augmented = phase.augment and augmentation.any
    cached = phase.freeze.kind is FreezeKind.BACKBONE and not augmented
    count = frozen_count(phase.freeze, network.backbone)
    with ExitStack() as stack:
        hold = settings.batch_norm is BatchNorm.FROZEN and network.pretrained
        stack.enter_context(frozen(network.backbone, count, batch_norm=hold))
        stack.enter_context(session.strategy.scope())
        train, val, model = session.train, session.val, network.logits
        spec = None if cached else network.input
        if cached:
            mirrored = augmentation.flip is not Flip.NONE
            train, val, model = *_features(session, mirrored), network.head
        layer = None
        if augmented:
            layer = augmentation_layer(augmentation, seed=settings.seed, order=network.input.order)
        trained = list(model.trainable_variables)
        steps = phase.epochs * batch_count(len(train.rows), settings.batch_size)
        factors = _factors(network, count, phase, trained)
        optimizer = make_optimizer(settings.optimizer, phase.rate, trained, factors, steps)
        if settings.mixed_precision:
            optimizer = _scaling(optimizer, trained)
        weights = class_weights(session.train.truth, _classes(session), settings.balance)
        with folded(network.backbone):
            step = TrainStep(
                model,
                optimizer,
                make_loss(settings.loss, weights),
                Inputs(spec, layer),
                session.strategy,
            )
        variables = [
            *network.whole.variables,
            *optimizer.variables,
            *([] if layer is None else layer.variables),
        ]
        seed_draws(variables, settings.seed, number)
        yield _Running(
            phase=phase,
            train=train,
            val=val,
            step=step,
            answers=compile_answers(model, spec),
            optimizer=optimizer,
            trained=trained,
            variables=variables,
            val_loss=make_loss(settings.loss, np.ones_like(weights)),
        )


def _classes(session: Session) -> int:
    return int(session.network.whole.outputs[0].shape[-1])


def _scaling(optimizer: Any, trained: list[Any]) -> Any:
    """Return the optimizer with the loss scaled, so that float16 gradients do not vanish."""
    from mejiro.tensorflow import load_keras

    scaling = load_keras().optimizers.LossScaleOptimizer(optimizer)
    scaling.build(trained)
    return scaling


def _features(session: Session, mirrored: bool) -> tuple[Side, Side]:
    """Return both sides as the frozen backbone's features."""
    cache, sides = session.run.cache, []
    for name, side, turned in (
        ("train", session.train, mirrored),
        ("val", session.val, False),
    ):
        session.events.stage(f"computing the features of the {name} pictures")
        path = cache / f"features-{name}.npy"
        rows = pooled_features(
            session.network, side.rows, path, mirrored=turned, on_progress=session.progress
        )
        sides.append(Side(rows, np.tile(side.truth, 1 + turned)))
    return sides[0], sides[1]


def _factors(network: Network, count: int, phase: Phase, trained: list[Any]) -> list[float]:
    """Return the factor of the rate for each trained variable."""
    factors = layer_factors(network.backbone, count, phase)
    by_variable = {
        id(variable): factor
        for layer, factor in zip(network.backbone, factors, strict=True)
        for variable in layer.variables
    }
    return [by_variable.get(id(variable), phase.head_factor) for variable in trained]


def _run_epochs(session: Session, running: _Running) -> None:
    standing, settings = session.standing, session.run.settings
    phase = running.phase
    try:
        while standing.epoch < phase.epochs:
            if settings.patience and standing.stale >= settings.patience:
                return
            _run_steps(session, running)
            _end_epoch(session, running)
    except StopAsked:
        write_checkpoint(session.run.checkpoint, standing, running.variables)
        where = f"{phase.name}, epoch {standing.epoch + 1} of {phase.epochs}"
        raise Interrupted(f"stopped in {where}; {session.run.how_to_go_on}") from None


def _run_steps(session: Session, running: _Running) -> None:
    """Take the steps of one epoch from where it stands."""
    standing, settings, phase = session.standing, session.run.settings, running.phase
    steps = running.steps(settings.batch_size)
    order = epoch_order(
        running.train.truth,
        seed=settings.seed,
        phase=standing.phase,
        epoch=standing.epoch,
        balance=settings.balance,
    )
    session.events.stage(f"{phase.name}, epoch {standing.epoch + 1} of {phase.epochs}")
    kept = begun = time.monotonic()
    before = standing.seconds
    for places in batches(order, settings.batch_size, skip=standing.step):
        rate = rate_at(phase, standing.epoch * steps + standing.step, phase.epochs * steps)
        counted = running.step(take(running.train.rows, places), running.train.truth[places], rate)
        standing.sums = standing.sums.plus(counted)
        standing.step += 1
        now = time.monotonic()
        standing.seconds = before + now - begun
        session.events.step(_report(standing, phase, steps, rate))
        session.events.progress(standing.step, steps)
        session.stop.check()
        if now - kept > session.checkpoint_seconds and standing.step < steps:
            write_checkpoint(session.run.checkpoint, standing, running.variables)
            kept = time.monotonic()


def _report(standing: Standing, phase: Phase, steps: int, rate: float) -> StepReport:
    left = steps - standing.step + steps * (phase.epochs - standing.epoch - 1)
    return StepReport(
        phase=phase.name,
        epoch=standing.epoch + 1,
        epochs=phase.epochs,
        step=standing.step,
        steps=steps,
        rate=rate,
        loss=standing.sums.mean_loss,
        accuracy=standing.sums.accuracy,
        seconds_left=left * standing.seconds / standing.step,
    )


def _end_epoch(session: Session, running: _Running) -> None:
    """Validate, keep the weights if they are the best so far, and keep a checkpoint."""
    standing, phase = session.standing, running.phase
    steps = running.steps(session.run.settings.batch_size)
    begun = time.monotonic()
    if not math.isfinite(standing.sums.loss):
        raise Diverged(
            f"the loss is no number any more in {phase.name}, epoch {standing.epoch + 1}; begin "
            f"anew with --force and a rate below {phase.rate:g}"
        )
    with _averaged(running):
        checked = _validate(session, running)
        record = EpochRecord(
            phase=phase.name,
            epoch=len(standing.history) + 1,
            seconds=round(standing.seconds + time.monotonic() - begun, 3),
            rate=rate_at(phase, (standing.epoch + 1) * steps - 1, phase.epochs * steps),
            loss=standing.sums.mean_loss,
            accuracy=standing.sums.accuracy,
            val_loss=checked.mean_loss,
            val_accuracy=checked.accuracy,
            ended=round(time.time(), 3),
        )
        standing.history.append(record)
        _keep_best(session, record)
    standing.epoch += 1
    standing.step, standing.sums, standing.seconds = 0, Sums(), 0.0
    write_checkpoint(session.run.checkpoint, standing, running.variables)
    write_history(session.run.folder / HISTORY, standing.history)
    if session.tensorboard:
        write_events(session.run.folder / TENSORBOARD, standing.history)
    session.events.epoch(record)


def _keep_best(session: Session, record: EpochRecord) -> None:
    standing, found = session.standing, (record.val_accuracy, record.val_loss)
    standing.stale += 1
    if is_better(found, standing.peak):
        standing.peak, standing.stale = found, 0
    best = standing.best
    if is_better(found, None if best is None else (best.accuracy, best.loss)):
        place = record.epoch - 1
        standing.best = Best(*found, place, f"best-{place}.npz")
        write_best(session.run.checkpoint, standing.best.file, session.weights)


def _validate(session: Session, running: _Running) -> Sums:
    """Return what the network as it stands scores on the validation pictures."""
    val = running.val
    answers = answer_all(
        running.answers,
        val.rows,
        session.run.settings.batch_size,
        lambda done: session.progress(done, len(val.rows)),
    )
    labels = np.eye(answers.shape[1], dtype=np.float32)[val.truth]
    losses = np.asarray(running.val_loss(labels, answers), dtype=np.float64)
    right = int((answers.argmax(axis=1) == val.truth).sum())
    return Sums(float(losses.sum()), right, len(val.rows))


@contextmanager
def _averaged(running: _Running) -> Iterator[None]:
    """Put the averaged weights in the place of the last ones while the block runs, if any are."""
    optimizer = getattr(running.optimizer, "inner_optimizer", running.optimizer)
    if not optimizer.use_ema:
        yield
        return
    last = [variable.numpy() for variable in running.trained]
    optimizer.finalize_variable_values(running.trained)
    try:
        yield
    finally:
        for variable, value in zip(running.trained, last, strict=True):
            variable.assign(value)
