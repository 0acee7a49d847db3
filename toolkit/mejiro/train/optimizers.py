"""Make optimizers: which weights decay, and how fast each layer learns at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mejiro.tensorflow import load_keras
from mejiro.train.settings import Optimizer, OptimizerKind, Phase


def rate_at(phase: Phase, step: int, steps: int) -> float:
    """Return the rate of step `step` (from 0) of `steps`: linear warm-up, then a cosine to 0.

    Source: Loshchilov and Hutter, "SGDR" (arXiv:1608.03983), without restarts.
    """
    warm = round(phase.warmup * steps)
    if step < warm:
        return phase.rate * (step + 1) / (warm + 1)
    along = (step - warm) / max(1, steps - warm)
    return phase.rate * 0.5 * (1 + math.cos(math.pi * along))


def layer_factors(backbone: Sequence[Any], frozen: int, phase: Phase) -> list[float]:
    """Return the factor of the rate for each layer of `backbone`.

    From `phase.depth_factor` at the first layer with weights that is not frozen to 1 at the
    last, each the same multiple of the one before (Howard and Ruder, arXiv:1801.06146).
    """
    trained = [place for place in range(frozen, len(backbone)) if backbone[place].weights]
    factors = [1.0] * len(backbone)
    for number, place in enumerate(trained):
        share = 1.0 if len(trained) == 1 else number / (len(trained) - 1)
        factors[place] = phase.depth_factor ** (1.0 - share)
    return factors


def make_optimizer(
    settings: Optimizer, rate: float, variables: Sequence[Any], factors: Sequence[float], steps: int
) -> Any:
    """Return a Keras optimizer, built for `variables`, whose rates are multiplied by `factors`.

    `steps` is the number of the phase's steps, a share of which the weights are averaged over.
    """
    keras = load_keras()
    shared: dict[str, Any] = {
        "learning_rate": rate,
        "weight_decay": settings.weight_decay,
        "global_clipnorm": settings.clip_norm or None,
    }
    if settings.average:
        shared |= {"use_ema": True, "ema_momentum": _momentum(settings.average, steps)}
    if settings.kind is OptimizerKind.SGD:
        shared |= {"momentum": settings.momentum, "nesterov": True}
    kind = {OptimizerKind.ADAMW: keras.optimizers.AdamW, OptimizerKind.SGD: keras.optimizers.SGD}
    optimizer = _with_factors(kind[settings.kind], list(factors))(**shared)
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if not _decays(v)])
    optimizer.build(list(variables))
    return optimizer


def _momentum(share: float, steps: int) -> float:
    return 1.0 - 1.0 / max(1.0, share * steps)


def _decays(variable: Any) -> bool:
    """Say whether weight decay is for this variable: biases and batch norm have one axis."""
    return len(variable.shape) > 1


def _with_factors(kind: Any, factors: list[float]) -> Any:
    """Return the optimizer class `kind` with a rate of its own for each variable."""
    if all(factor == 1.0 for factor in factors):
        return kind

    class WithFactors(kind):  # type: ignore[misc]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            factor = factors[self._get_variable_index(variable)]
            super().update_step(gradient, variable, learning_rate * factor)

    return WithFactors
