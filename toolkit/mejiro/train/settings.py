"""Say how a network is trained: everything that decides what comes out, validated, as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mejiro.data.augmentation import Augmentation
from mejiro.errors import UsageError
from mejiro.train.freezing import Freeze
from mejiro.zoo.spec import Activation, BuildOptions
from mejiro_runtime.fields import Fields

MAX_EPOCHS, MAX_BATCH, MAX_UNITS = 100_000, 65_536, 1 << 20


class Pooling(str, Enum):
    """Name how the last feature map becomes one row of features."""

    AVERAGE = "avg"
    MAX = "max"


class LossKind(str, Enum):
    """Name what is made small."""

    CROSS_ENTROPY = "cross-entropy"
    FOCAL = "focal"  # Lin et al., "Focal Loss for Dense Object Detection" (arXiv:1708.02002)


class OptimizerKind(str, Enum):
    """Name how the gradient changes the weights."""

    ADAMW = "adamw"  # Loshchilov and Hutter (arXiv:1711.05101)
    SGD = "sgd"  # with momentum


class Balance(str, Enum):
    """Name what is done about classes of unequal size."""

    NONE = "none"
    WEIGHTS = "weights"  # each class has the same weight in the loss
    SAMPLE = "sample"  # each class is drawn as often as any other


class BatchNorm(str, Enum):
    """Name what batch normalization does in layers that are trained."""

    FROZEN = "frozen"  # keeps the statistics and factors it came with
    TRAINED = "trained"


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} must lie in {low:g} to {high:g}, found {value:g}")


@dataclass(frozen=True)
class Head:
    """Describe what follows the feature map. `hidden` units make a layer with ReLU, 0 none.

    `dropout` is the share of what enters the classifier that is dropped while training.
    """

    pooling: Pooling = Pooling.AVERAGE
    hidden: int = 0
    dropout: float = 0.5

    def __post_init__(self) -> None:
        _check("the number of hidden units", self.hidden, 0, MAX_UNITS)
        _check("dropout", self.dropout, 0, 0.99)


@dataclass(frozen=True)
class Loss:
    """Describe the loss. `label_smoothing` is the share of each truth spread over all classes.

    `gamma` is the focal loss's: how much less a picture counts that is answered surely.
    """

    kind: LossKind = LossKind.CROSS_ENTROPY
    label_smoothing: float = 0.1
    gamma: float = 2.0

    def __post_init__(self) -> None:
        _check("label smoothing", self.label_smoothing, 0, 0.99)
        _check("gamma", self.gamma, 0, 100)


@dataclass(frozen=True)
class Optimizer:
    """Describe how the gradient is used. `momentum` is SGD's.

    `weight_decay` spares biases and batch normalization. `clip_norm` bounds the norm of the
    whole gradient, 0 leaves it alone. `average` is the share of a phase's steps over which the
    weights are averaged, exponentially; 0 takes them as they are.
    """

    kind: OptimizerKind = OptimizerKind.ADAMW
    weight_decay: float = 1e-4
    momentum: float = 0.9
    clip_norm: float = 1.0
    average: float = 0.0

    def __post_init__(self) -> None:
        _check("weight decay", self.weight_decay, 0, 1)
        _check("momentum", self.momentum, 0, 0.9999)
        _check("the gradient's norm", self.clip_norm, 0, 1e9)
        _check("the share of steps to average over", self.average, 0, 1)


@dataclass(frozen=True)
class Phase:
    """Describe one part of a run. The rate grows over `warmup`, then falls as a cosine to 0.

    `warmup` is a share of the phase's steps. `depth_factor` is how much smaller the rate is at
    the layer nearest to the pixels than at the last one, falling evenly in between; the head has
    `rate` times `head_factor`. `augment` says whether the run's augmentation is used.
    """

    name: str
    epochs: int
    rate: float
    freeze: Freeze = field(default_factory=Freeze)
    warmup: float = 0.1
    depth_factor: float = 1.0
    head_factor: float = 1.0
    augment: bool = True

    def __post_init__(self) -> None:
        _check(f"the epochs of phase '{self.name}'", self.epochs, 1, MAX_EPOCHS)
        if not 0 < self.rate <= 100:
            raise UsageError(f"a rate must lie above 0, at most 100, found {self.rate:g}")
        _check("warm-up", self.warmup, 0, 1)
        if not 0 < self.depth_factor <= 1:
            raise UsageError(f"the depth factor must lie in (0, 1], found {self.depth_factor:g}")
        if not 0 < self.head_factor <= 1000:
            raise UsageError(f"the head's factor must lie in (0, 1000], found {self.head_factor:g}")


@dataclass(frozen=True)
class Settings:
    """Hold all that decides the outcome of a run, but for the pictures.

    `model` is a name of the zoo, or the path of a model to go on from; `weights` is
    ``pretrained``, ``none`` or a weights file, and None for a path. `crop` is the share (0..1] of
    a picture's shorter side that the network sees, None for the model's own. `patience` is the
    number of epochs without a better validation after which a phase ends, 0 to let it run.
    """

    model: str
    phases: tuple[Phase, ...]
    weights: str | None = "pretrained"
    build: BuildOptions = field(default_factory=BuildOptions)
    crop: float | None = None
    head: Head = field(default_factory=Head)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    augmentation: Augmentation = field(default_factory=Augmentation)
    balance: Balance = Balance.NONE
    batch_norm: BatchNorm = BatchNorm.FROZEN
    batch_size: int = 32
    patience: int = 0
    mixed_precision: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.phases:
            raise UsageError("there is nothing to train; give at least one phase some epochs")
        names = [phase.name for phase in self.phases]
        if len(set(names)) != len(names):
            raise UsageError(f"phases need names of their own, found {', '.join(names)}")
        if self.crop is not None:
            _check("the crop", self.crop, 0.05, 1)
        _check("the batch size", self.batch_size, 1, MAX_BATCH)
        _check("patience", self.patience, 0, MAX_EPOCHS)
        _check("the seed", self.seed, 0, 2**31 - 1)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` gives back equal settings."""
        value: dict[str, Any] = _plain(dataclasses.asdict(self))
        return {**value, "augmentation": self.augmentation.to_json()}

    @classmethod
    def from_json(cls, value: Any) -> Settings:
        """Read what `to_json` wrote; raises SpecError or UsageError."""
        fields = Fields(value, "training settings")
        weights, crop = fields.optional("weights"), fields.optional("crop")
        settings = cls(
            model=fields.text("model"),
            phases=tuple(_phase(entry) for entry in fields.items("phases")),
            weights=None if weights is None else str(weights),
            build=_build(fields.mapping("build")),
            crop=None if crop is None else float(crop),
            head=_head(fields.mapping("head")),
            loss=_loss(fields.mapping("loss")),
            optimizer=_optimizer(fields.mapping("optimizer")),
            augmentation=Augmentation.from_json(fields.mapping("augmentation")),
            balance=fields.choice("balance", Balance),
            batch_norm=fields.choice("batch_norm", BatchNorm),
            batch_size=fields.integer("batch_size"),
            patience=fields.integer("patience"),
            mixed_precision=fields.flag("mixed_precision"),
            seed=fields.integer("seed"),
        )
        fields.finish()
        return settings

    @property
    def epochs(self) -> int:
        """The number of epochs of all phases, if none of them ends early."""
        return sum(phase.epochs for phase in self.phases)


def _plain(value: Any) -> Any:
    """Return dataclasses' values with enums as their words and tuples as lists."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _phase(value: Any) -> Phase:
    fields = Fields(value, "phase")
    freeze = fields.mapping("freeze")
    phase = Phase(
        name=fields.text("name"),
        epochs=fields.integer("epochs"),
        rate=fields.number("rate"),
        freeze=Freeze.from_json(freeze),
        warmup=fields.number("warmup"),
        depth_factor=fields.number("depth_factor"),
        head_factor=fields.number("head_factor"),
        augment=fields.flag("augment"),
    )
    fields.finish()
    return phase


def _build(value: Any) -> BuildOptions:
    fields = Fields(value, "build options")
    activation = fields.optional("activation")
    options = BuildOptions(
        image_size=fields.optional("image_size"),
        alpha=fields.optional("alpha"),
        dropout=fields.optional("dropout"),
        seed=fields.integer("seed"),
        depth=fields.optional("depth"),
        phi=fields.optional("phi"),
        activation=None if activation is None else Activation(activation),
    )
    fields.finish()
    return options


def _head(value: Any) -> Head:
    fields = Fields(value, "head")
    head = Head(
        pooling=fields.choice("pooling", Pooling),
        hidden=fields.integer("hidden"),
        dropout=fields.number("dropout"),
    )
    fields.finish()
    return head


def _loss(value: Any) -> Loss:
    fields = Fields(value, "loss")
    loss = Loss(
        kind=fields.choice("kind", LossKind),
        label_smoothing=fields.number("label_smoothing"),
        gamma=fields.number("gamma"),
    )
    fields.finish()
    return loss


def _optimizer(value: Any) -> Optimizer:
    fields = Fields(value, "optimizer")
    optimizer = Optimizer(
        kind=fields.choice("kind", OptimizerKind),
        weight_decay=fields.number("weight_decay"),
        momentum=fields.number("momentum"),
        clip_norm=fields.number("clip_norm"),
        average=fields.number("average"),
    )
    fields.finish()
    return optimizer
