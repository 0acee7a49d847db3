"""Divide a cut among the groups of channels so that the network's answers change least."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from mejiro.errors import PruneError
from mejiro.prune.count import Counter, Measure
from mejiro.prune.graph import Group
from mejiro.prune.sensitivity import Sensitivity

# What a network costs with groups of the given widths; those that are not named are whole.
CostOf = Callable[[Mapping[str, int]], float]

# The shares of a group that are tried; between them what is lost goes along a straight line.
_TRIED = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4)


def tried_widths(group: Group, multiple: int) -> tuple[int, ...]:
    """Return the widths below a group's own at which its sensitivity is measured, falling."""
    step = width_step(group, multiple)
    widths = {max(1, round(group.channels * (1 - share) / step)) * step for share in _TRIED}
    return tuple(sorted((width for width in widths if width < group.channels), reverse=True))


def width_step(group: Group, multiple: int) -> int:
    """Return by how many channels of a group the widths of its layers fall by `multiple`."""
    return multiple // math.gcd(multiple, group.copies)


def counted(counter: Counter, measure: Measure) -> CostOf:
    """Return what counts a network's multiply-adds or parameters."""

    def cost(widths: Mapping[str, int]) -> float:
        keep = {name: np.arange(width) for name, width in widths.items()}
        return float(counter.cost(keep).of(measure))

    return cost


def allocate(
    cost_of: CostOf,
    groups: Mapping[str, Group],
    sensitivities: Mapping[str, Sensitivity],
    *,
    target: float,
    measure: Measure,
    multiple: int,
    at_most: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Return the width of each group so that the cost is at most `target` of the whole's.

    Only groups in `sensitivities` are narrowed. The group narrows next whose divergence grows
    least for what is saved, where the divergences of groups are taken to add up. Looking at all
    its lower widths, not the next alone, keeps a group from hiding a cheap cut behind a dear one.
    A group in `at_most` stays whole or becomes no wider than that. Raises PruneError if the
    narrowest widths that were tried cost more.
    """
    at_most = at_most or {}
    widths = {name: one.widths[0] for name, one in sensitivities.items()}
    steps = {name: width_step(groups[name], multiple) for name in sensitivities}
    cost = whole = cost_of(widths)
    saving: dict[str, tuple[float, int]] = {}
    while cost > target * whole:
        for name, one in sensitivities.items():
            if name not in saving:
                saving[name] = _cheapest(cost_of, widths, one, cost, at_most.get(name, math.inf))
        name, (rate, aim) = min(
            saving.items(), key=lambda item: item[1][0], default=("", (math.inf, 0))
        )
        if math.isinf(rate):
            raise PruneError(
                f"{measure.value} cannot be brought to {target:g} of the whole by cutting "
                f"{len(widths)} groups of channels; they reach {cost / whole:.3f}, ask for more"
            )
        below = min(widths[name], at_most.get(name, math.inf) + 1)
        widths[name] = max(aim, _next_width(int(below), steps[name]))
        cost = cost_of(widths)
        # What a group saves depends on its neighbours' widths: on those that share its layers.
        touched = _neighbours(groups, name) & set(saving)
        for other in touched | ({name} if widths[name] == aim else set()):
            saving.pop(other, None)
    return widths


def _next_width(width: int, step: int) -> int:
    return (math.ceil(width / step) - 1) * step


def _cheapest(
    cost_of: CostOf, widths: Mapping[str, int], one: Sensitivity, cost: float, at_most: float
) -> tuple[float, int]:
    """Return the divergence for one unit saved at the best width below, and that width."""
    now = widths[one.name]
    best = (math.inf, now)
    for width in one.widths:
        if width >= now or width > at_most:
            continue
        saved = cost - cost_of({**widths, one.name: width})
        if saved > 0:
            grown = max(one.at(width) - one.at(now), 0.0)
            best = min(best, (grown / saved, width))
    return best


def _neighbours(groups: Mapping[str, Group], name: str) -> set[str]:
    layers = {part.axis.layer for part in groups[name].slices}
    return {
        other
        for other, group in groups.items()
        if other != name and layers & {part.axis.layer for part in group.slices}
    }
