"""Train a classifier on as it is, its own head kept: with labels, with a teacher, or with both.

What a network lost when it was cut, thinned out or quantized is won back so. A whole run with a
folder, a new head and checkpoints is `mejiro.train.train`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.augment import augmentation_layer
from mejiro.data.augmentation import PRESETS, Augmentation
from mejiro.errors import UsageError
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro.train.batches import batch_count, batches, epoch_order, take
from mejiro.train.checkpoint import is_better
from mejiro.train.distillation import Distillation, divergence, lesson, taught_loss
from mejiro.train.events import Diverged, Events, StepReport
from mejiro.train.folding import folded
from mejiro.train.freezing import frozen
from mejiro.train.history import EpochRecord
from mejiro.train.logits import answering_logits
from mejiro.train.losses import make_loss
from mejiro.train.masks import Masks
from mejiro.train.optimizers import make_optimizer, rate_at
from mejiro.train.pictures import Pictures
from mejiro.train.seeding import seed_draws
from mejiro.train.settings import Balance, BatchNorm, Loss, Optimizer, Phase
from mejiro.train.steps import Answers, Inputs, Sums, TrainStep, answer_all, compile_answers

NAME = "fine-tuning"


@dataclass(frozen=True)
class FinetuneSettings:
    """Say how a network is fine-tuned; see `Settings` and `Phase` for what the words mean.

    `distillation` counts where there is a teacher; without labels its share is 1. The weights
    kept are the best on validation of those epochs that end after the share `keep_from` of all
    steps: whoever thins a network out meanwhile has use for none that came before. At 0 the
    weights at the beginning count too, so that nothing can get worse.
    """

    epochs: int = 8
    rate: float = 3e-4
    warmup: float = 0.1
    batch_size: int = 32
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    augmentation: Augmentation = field(default_factory=lambda: PRESETS["light"])
    batch_norm: BatchNorm = BatchNorm.FROZEN
    distillation: Distillation = field(default_factory=Distillation)
    keep_from: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        Phase(NAME, self.epochs, self.rate, warmup=self.warmup)  # checks them
        if self.batch_size < 1:
            raise UsageError(f"a batch needs a picture or more, found {self.batch_size}")
        if not 0 <= self.keep_from <= 1:
            raise UsageError(f"keep_from is a share of the steps, found {self.keep_from:g}")


@dataclass(frozen=True)
class Mark:
    """Say where fine-tuning stands: `step` of `steps` is taken, counted from 1."""

    step: int
    steps: int


AfterStep = Callable[[Mark], None]


def finetune(
    model: FloatModel,
    pictures: Pictures,
    settings: FinetuneSettings,
    *,
    teacher: FloatModel | None = None,
    after_step: AfterStep | None = None,
    masks: Masks | None = None,
    events: Events | None = None,
) -> FloatModel:
    """Train the Keras model of `model` on `pictures`; return it with its lineage.

    The network's own variables change: give a copy (`copied`) if they are needed as they were.
    It ends with the best weights on the validation pictures: the most right answers, or without
    labels the answers nearest to the teacher's. After each step `after_step` is called, which may
    change masks or variables, then `masks` are applied; what is kept obeys them too.

    Raises UsageError without labels and teacher, for a teacher that is the network itself or
    does not fit, and for a network that hides its logits; Diverged if the loss becomes no number.
    """
    _check(model, pictures, teacher)
    with _opened(model, pictures, settings, teacher) as tuning:
        tuning.after_step = after_step or (lambda mark: None)
        tuning.masks, tuning.events = masks, events or Events()
        tuning.run()
    record = {
        "data": pictures.data,
        "train": len(pictures.train),
        "val": len(pictures.val),
        "labels": pictures.train_truth is not None,
        "teacher": None if teacher is None else teacher.name,
        "epochs": settings.epochs,
        "rate": settings.rate,
        "batch_norm": settings.batch_norm.value,
        "seed": settings.seed,
        "kept_epoch": tuning.best_epoch,
        # Without labels it is the share of answers that are the teacher's.
        "val_accuracy": tuning.best_accuracy,
    }
    # A network may be fine-tuned again and again; each time adds a line.
    before = model.lineage.get("finetuned", [])
    lineage = {**model.lineage, "finetuned": [*before, record]}
    return replace(model, lineage=lineage, trained=None)  # the ranges were of other weights


def copied(model: FloatModel) -> FloatModel:
    """Return `model` with a Keras model of its own, of the same weights."""
    keras = load_keras()
    copy = keras.models.clone_model(model.keras_model)
    copy.set_weights(model.keras_model.get_weights())
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights
    return replace(model, keras_model=copy)


def _check(model: FloatModel, pictures: Pictures, teacher: FloatModel | None) -> None:
    if teacher is None and pictures.train_truth is None:
        raise UsageError(
            f"{pictures.data} has no labels and there is no teacher, so there is nothing to learn "
            "from; give one of them"
        )
    if teacher is not None and teacher.keras_model is model.keras_model:
        raise UsageError("a network cannot teach itself; give a copy of it (`copied`)")
    classes = model.keras_model.outputs[0].shape[-1]
    taught = classes if teacher is None else teacher.keras_model.outputs[0].shape[-1]
    if taught != classes:
        raise UsageError(
            f"the teacher knows {taught} classes, the network {classes}; they must be the same"
        )
    truth = pictures.train_truth
    if truth is not None and int(truth.max()) >= classes:
        raise UsageError(
            f"{pictures.data} has more classes than the {classes} of {model.name}; give the "
            "pictures that it was trained for"
        )


@dataclass(eq=False)
class _Tuning:
    """Hold what fine-tuning runs with, and the best weights so far.

    Without labels `train_truth` and `val_truth` are the teacher's first answers, and `taught` its
    logits (N, C) for the validation pictures; with labels it is None.
    """

    settings: FinetuneSettings
    weights: list[Any]
    trained: list[Any]
    optimizer: Any
    step: TrainStep
    answers: Answers
    pictures: Pictures
    train_truth: NDArray[np.int32]
    val_truth: NDArray[np.int32]
    taught: NDArray[np.float32] | None
    classes: int
    masks: Masks | None = None
    after_step: AfterStep = lambda mark: None
    events: Events = field(default_factory=Events)
    best: list[NDArray[Any]] | None = None
    best_rank: tuple[float, float] | None = None
    best_epoch: int = 0
    best_accuracy: float = 0.0

    def run(self) -> None:
        """Train all epochs; the network then has its best weights."""
        settings = self.settings
        if settings.keep_from == 0:
            self._keep(0, self._validate())
        for epoch in range(settings.epochs):
            begun = time.monotonic()
            sums = self._run_epoch(epoch)
            if not math.isfinite(sums.loss):
                raise Diverged(
                    f"the loss is no number any more in {NAME}, epoch {epoch + 1}; use a rate "
                    f"below {settings.rate:g}"
                )
            with self._averaged():
                checked = self._validate()
                if epoch + 1 >= settings.keep_from * settings.epochs - 1e-9:
                    self._keep(epoch + 1, checked)
            self.events.epoch(self._record(epoch, sums, checked, time.monotonic() - begun))
        for variable, value in zip(self.weights, self.best or [], strict=True):
            variable.assign(value)

    def _run_epoch(self, epoch: int) -> Sums:
        settings, truth, events = self.settings, self.train_truth, self.events
        order = epoch_order(truth, seed=settings.seed, phase=0, epoch=epoch, balance=Balance.NONE)
        steps = batch_count(len(order), settings.batch_size)
        events.stage(f"{NAME}, epoch {epoch + 1} of {settings.epochs}")
        sums, begun = Sums(), time.monotonic()
        for number, places in enumerate(batches(order, settings.batch_size)):
            taken, total = epoch * steps + number, settings.epochs * steps
            rate = rate_at(self._phase, taken, total)
            sums = sums.plus(self.step(take(self.pictures.train, places), truth[places], rate))
            self.after_step(Mark(taken + 1, total))
            if self.masks is not None:
                self.masks.apply()
            each = (time.monotonic() - begun) / (number + 1)
            events.step(self._report(epoch, number + 1, steps, rate, sums, each))
            events.progress(number + 1, steps)
        return sums

    @property
    def _phase(self) -> Phase:
        return Phase(NAME, self.settings.epochs, self.settings.rate, warmup=self.settings.warmup)

    def _report(
        self, epoch: int, step: int, steps: int, rate: float, sums: Sums, each: float
    ) -> StepReport:
        left = steps * (self.settings.epochs - epoch) - step
        return StepReport(
            phase=NAME,
            epoch=epoch + 1,
            epochs=self.settings.epochs,
            step=step,
            steps=steps,
            rate=rate,
            loss=sums.mean_loss,
            accuracy=sums.accuracy,
            seconds_left=left * each,
        )

    def _record(self, epoch: int, sums: Sums, checked: Sums, seconds: float) -> EpochRecord:
        steps = batch_count(len(self.pictures.train), self.settings.batch_size)
        total = self.settings.epochs * steps
        return EpochRecord(
            phase=NAME,
            epoch=epoch + 1,
            seconds=round(seconds, 3),
            rate=rate_at(self._phase, (epoch + 1) * steps - 1, total),
            loss=sums.mean_loss,
            accuracy=sums.accuracy,
            val_loss=checked.mean_loss,
            val_accuracy=checked.accuracy,
            ended=round(time.time(), 3),
        )

    def _validate(self) -> Sums:
        """Return the sums over the validation pictures, without labels against the teacher."""
        rows, truth = self.pictures.val, self.val_truth
        found = answer_all(self.answers, rows, self.settings.batch_size)
        if self.taught is None:
            hard = make_loss(self.settings.loss, np.ones(self.classes, np.float32))
            losses = hard(np.eye(self.classes, dtype=np.float32)[truth], found)
        else:
            losses = divergence(self.settings.distillation.temperature)(self.taught, found)
        right = int((found.argmax(axis=1) == truth).sum())
        return Sums(float(np.asarray(losses, np.float64).sum()), right, len(rows))

    def _keep(self, epoch: int, checked: Sums) -> None:
        # A few unlabelled pictures all answered alike say little; how near the answers are, more.
        rank = (checked.accuracy if self.taught is None else 0.0, checked.mean_loss)
        if math.isfinite(checked.loss) and is_better(rank, self.best_rank):
            self.best = [variable.numpy() for variable in self.weights]
            self.best_rank, self.best_epoch = rank, epoch
            self.best_accuracy = checked.accuracy

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights in the place of the last ones while the block runs, if any."""
        if not self.optimizer.use_ema:
            yield
            return
        last = [variable.numpy() for variable in self.trained]
        self.optimizer.finalize_variable_values(self.trained)
        if self.masks is not None:
            self.masks.apply()  # an average remembers what was there before it became zero
        yield
        for variable, value in zip(self.trained, last, strict=True):
            variable.assign(value)


@contextmanager
def _opened(
    model: FloatModel,
    pictures: Pictures,
    settings: FinetuneSettings,
    teacher: FloatModel | None,
) -> Iterator[_Tuning]:
    """Hold batch normalization, leave the softmax out, compile the steps."""
    with ExitStack() as stack:
        network = _network(stack, model, hold=settings.batch_norm is BatchNorm.FROZEN)
        classes = network.outputs[0].shape[-1]
        losses: Callable[..., Any] = make_loss(settings.loss, np.ones(classes, np.float32))
        teach = taught = None
        train_truth, val_truth = pictures.train_truth, pictures.val_truth
        if teacher is not None:
            teaching = _network(stack, teacher, hold=True)
            teach = lesson(teaching, teacher.input, model.input)
            distillation = settings.distillation
            if train_truth is None:
                distillation = replace(distillation, share=1.0)
                answers = compile_answers(teaching, teacher.input)
                taught = answer_all(answers, pictures.val, settings.batch_size)
                val_truth = _first(taught)
                train_truth = _first(answer_all(answers, pictures.train, settings.batch_size))
            losses = taught_loss(losses, distillation)
        if train_truth is None or val_truth is None:
            raise UsageError("there is neither a label nor a teacher to learn from")
        layer = augmentation_layer(
            settings.augmentation, seed=settings.seed, order=model.input.order
        )
        trained = list(network.trainable_variables)
        steps = settings.epochs * batch_count(len(pictures.train), settings.batch_size)
        optimizer = make_optimizer(
            settings.optimizer, settings.rate, trained, [1.0] * len(trained), steps
        )
        seed_draws([*network.variables, *layer.variables], settings.seed)
        strategy = load_tensorflow().distribute.get_strategy()
        yield _Tuning(
            settings=settings,
            weights=list(network.weights),
            trained=trained,
            optimizer=optimizer,
            step=TrainStep(network, optimizer, losses, Inputs(model.input, layer), strategy, teach),
            answers=compile_answers(network, model.input),
            pictures=pictures,
            train_truth=train_truth,
            val_truth=val_truth,
            taught=taught,
            classes=classes,
        )


def _network(stack: ExitStack, model: FloatModel, *, hold: bool) -> Any:
    """Return the Keras model of `model`, ready for graphs to be traced until `stack` ends."""
    network = stack.enter_context(answering_logits(model))
    stack.enter_context(frozen(network.layers, 0, batch_norm=hold))
    stack.enter_context(folded(network.layers))
    return network


def _first(answers: NDArray[np.float32]) -> NDArray[np.int32]:
    first: NDArray[np.int32] = answers.argmax(axis=1).astype(np.int32)
    return first
