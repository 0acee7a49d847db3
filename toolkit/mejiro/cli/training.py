"""Define the options of `mejiro train`, and make settings of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from mejiro.cli import options
from mejiro.data.augmentation import PRESETS, parse_augmentation
from mejiro.errors import UsageError
from mejiro.train.freezing import parse_freeze
from mejiro.train.machine import Device
from mejiro.train.plan import Plan, plan_phases
from mejiro.train.settings import (
    Balance,
    BatchNorm,
    Head,
    Loss,
    LossKind,
    Optimizer,
    OptimizerKind,
    Pooling,
    Settings,
)
from mejiro.zoo import BuildOptions, Weights

Function = TypeVar("Function", bound=Callable[..., Any])

# What a command is told but a run does not keep.
_NOT_KEPT = ("out", "resume", "force", "as_json", "preview", "threads", "device", "tensorboard")


def _choice(kind: Any) -> click.Choice[str]:
    return click.Choice([member.value for member in kind])


def _share(**limits: Any) -> click.FloatRange:
    return click.FloatRange(0, 1, **limits)


_RATE = click.FloatRange(0, 100, min_open=True)
_COUNT = click.IntRange(0, 100_000)

_DATA = (
    click.option(
        "--val", type=_share(min_open=True, max_open=True), help="Share to validate with."
    ),
    click.option("--archive", type=options.PATH, help="For cifar10 and cifar100: a local archive."),
    click.option("--balance", type=_choice(Balance), default="none", help="For unequal classes."),
)
_NETWORK = (
    click.option("--model", metavar="NAME", help="A name of the zoo, a model folder, a .keras."),
    click.option("--weights", help="pretrained (default), none, or a weights file."),
    options.architecture,
    click.option(
        "--crop",
        type=click.FloatRange(0.05, 1),
        help="Share of a picture's shorter side to look at; default: the model's.",
    ),
    click.option("--pooling", type=_choice(Pooling), default="avg", show_default=True),
    click.option("--hidden", type=_COUNT, default=0, help="Units of a hidden layer; 0 for none."),
    click.option("--dropout", type=click.FloatRange(0, 0.99), default=0.5, show_default=True),
)
_PHASES = (
    click.option("--freeze", help="backbone, 'all-but N', a LAYER (and all before it), or none."),
    click.option("--unfreeze", metavar="LAYER", help="Train from this layer on, at the end."),
    click.option("--head-epochs", type=_COUNT, default=Plan.head_epochs, show_default=True),
    click.option("--epochs", type=_COUNT, default=Plan.epochs, show_default=True),
    click.option("--head-rate", type=_RATE, default=Plan.head_rate, show_default=True),
    click.option("--rate", type=_RATE, help="Of the layers behind the head."),
    click.option("--warmup", type=_share(), default=Plan.warmup, help="Share of a phase's steps."),
    click.option("--depth-factor", type=_share(min_open=True), default=Plan.depth_factor,
                 help="Rate of the first layer over that of the last."),
    click.option("--head-factor", type=_RATE, default=Plan.head_factor,
                 help="Rate of the head over --rate."),
    click.option("--batch-size", type=click.IntRange(1, 65_536), default=32, show_default=True),
    click.option("--batch-norm", type=_choice(BatchNorm), default="frozen", show_default=True,
                 help="In the layers that are trained."),
    click.option("--patience", type=_COUNT, default=0,
                 help="Epochs without a better validation that end a phase; 0: none do."),
)  # fmt: skip
_LEARNING = (
    click.option("--loss", type=_choice(LossKind), default="cross-entropy", show_default=True),
    click.option("--gamma", type=click.FloatRange(0, 100), default=2.0, help="Of the focal loss."),
    click.option("--label-smoothing", type=click.FloatRange(0, 0.99), default=0.1,
                 show_default=True),
    click.option("--optimizer", type=_choice(OptimizerKind), default="adamw", show_default=True),
    click.option("--momentum", type=click.FloatRange(0, 0.9999), default=0.9, help="Of SGD."),
    click.option("--weight-decay", type=_share(), default=Optimizer.weight_decay,
                 show_default=True),
    click.option("--clip-norm", type=click.FloatRange(0), default=Optimizer.clip_norm,
                 show_default=True, help="Bound of the gradient's norm; 0: none."),
    click.option("--average", type=_share(), default=Optimizer.average, show_default=True,
                 help="Share of a phase's steps to average weights over; 0: none."),
    click.option("--augment", type=click.Choice(list(PRESETS)), help="A preset."),
    click.option("--set", "changes", multiple=True, metavar="NAME=VALUE",
                 help="Change the preset: --set rotation=10. May be given again."),
)  # fmt: skip
_CONDUCT = (
    click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True),
    click.option("--device", type=_choice(Device), default="auto", show_default=True),
    click.option("--mixed-precision", is_flag=True, help="Compute in float16, on a GPU."),
    click.option("--threads", type=click.IntRange(1, 256), help="Default: the CPUs."),
    click.option("--tensorboard", is_flag=True, help="Also write logs for TensorBoard."),
    click.option("--keep-cache", is_flag=True, help="Keep decoded pixels and features."),
    click.option("--resume", is_flag=True, help="Go on with the run in --out."),
    click.option("--force", is_flag=True, help="Replace the run in --out."),
)


def training_options(function: Function) -> Function:
    """Add the options that settings and conduct of a run come from."""
    for option in reversed((*_DATA, *_NETWORK, *_PHASES, *_LEARNING, *_CONDUCT)):
        function = option(function)
    return function


def make_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings that the options `given` mean; raises UsageError."""
    weights = _weights(given)
    pretrained = weights != Weights.NONE.value
    rates = {} if given["rate"] is None else {"rate": given["rate"], "scratch_rate": given["rate"]}
    plan = Plan(
        freeze=parse_freeze(given["freeze"]) if given["freeze"] else None,
        unfreeze=given["unfreeze"],
        head_epochs=given["head_epochs"],
        epochs=given["epochs"],
        head_rate=given["head_rate"],
        warmup=given["warmup"],
        depth_factor=given["depth_factor"],
        head_factor=given["head_factor"],
        **rates,
    )
    asked = given["augment"] is not None or bool(given["changes"])
    return Settings(
        model=given["model"],
        phases=plan_phases(plan, pretrained=pretrained, augment=asked),
        weights=weights,
        build=_build(given),
        crop=given["crop"],
        head=Head(Pooling(given["pooling"]), given["hidden"], given["dropout"]),
        loss=Loss(LossKind(given["loss"]), given["label_smoothing"], given["gamma"]),
        optimizer=Optimizer(
            OptimizerKind(given["optimizer"]),
            given["weight_decay"],
            given["momentum"],
            given["clip_norm"],
            given["average"],
        ),
        augmentation=parse_augmentation(given["augment"] or DEFAULT_PRESET, given["changes"]),
        balance=Balance(given["balance"]),
        batch_norm=BatchNorm(given["batch_norm"]),
        batch_size=given["batch_size"],
        patience=given["patience"],
        mixed_precision=given["mixed_precision"],
        seed=given["seed"],
    )


DEFAULT_PRESET = "light"


def _weights(given: Mapping[str, Any]) -> str | None:
    """Return the weights to begin with: None for a model from a file, which holds its own."""
    weights: str | None = given["weights"]
    if Path(given["model"]).exists():
        if weights is not None:
            raise UsageError(f"{given['model']} holds its own weights; leave --weights out")
        for name in options.ARCHITECTURE_NAMES:
            if given[name] is not None:
                raise UsageError(
                    f"{given['model']} holds its own architecture; leave "
                    f"--{name.replace('_', '-')} out"
                )
        return None
    return weights or Weights.PRETRAINED.value


def _build(given: Mapping[str, Any]) -> BuildOptions:
    seed = given["seed"]
    return options.build_options(given, seed=seed) or BuildOptions(seed=seed)


def kept_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a run keeps, as plain JSON values, for whoever goes on with it."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value)
        return list(value) if isinstance(value, tuple) else value

    return {name: plain(value) for name, value in given.items() if name not in _NOT_KEPT}


def with_kept(
    given: Mapping[str, Any], kept: Mapping[str, Any], stated: frozenset[str]
) -> dict[str, Any]:
    """Return `given` with what a run kept in the place of what was not `stated` now."""
    return {
        **given,
        **{name: value for name, value in kept.items() if name in given and name not in stated},
    }
