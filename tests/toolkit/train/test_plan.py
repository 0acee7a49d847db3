"""Phases follow from what a user says about freezing."""

from __future__ import annotations

from typing import Any

import pytest

from mejiro.errors import UsageError
from mejiro.train.freezing import Freeze, FreezeKind, parse_freeze
from mejiro.train.plan import Plan, plan_phases

BACKBONE = Freeze(FreezeKind.BACKBONE)


def plan(*, pretrained: bool = True, augment: bool = False, **words: Any) -> list[Any]:
    if "freeze" in words:
        words["freeze"] = parse_freeze(words["freeze"])
    return list(plan_phases(Plan(**words), pretrained=pretrained, augment=augment))


def test_the_head_comes_first_and_then_everything() -> None:
    head, rest = plan()
    assert (head.name, head.freeze, head.augment) == ("head", BACKBONE, False)
    assert (rest.name, rest.freeze, rest.augment) == ("fine-tuning", Freeze(), True)
    assert rest.rate <= head.rate


def test_a_frozen_backbone_stays_frozen() -> None:
    (head,) = plan(freeze="backbone")
    assert (head.freeze, head.augment) == (BACKBONE, False)
    (head,) = plan(freeze="backbone", augment=True)
    assert head.augment
    (head,) = plan(epochs=0, augment=True)
    assert (head.freeze, head.augment) == (BACKBONE, True)


def test_what_is_frozen_in_part_follows_the_head() -> None:
    head, rest = plan(freeze="all-but 5")
    assert (head.freeze, rest.freeze) == (BACKBONE, Freeze(FreezeKind.ALL_BUT, count=5))
    head, rest = plan(unfreeze="block6a")
    assert (head.freeze, rest.freeze) == (BACKBONE, Freeze(FreezeKind.BEFORE, layer="block6a"))
    head, rest = plan(freeze="block6d", unfreeze="block5a")
    assert head.freeze == Freeze(FreezeKind.THROUGH, layer="block6d")
    assert rest.freeze == Freeze(FreezeKind.BEFORE, layer="block5a")


def test_one_phase_where_nothing_is_frozen_or_nothing_is_known() -> None:
    (all_at_once,) = plan(freeze="none")
    assert (all_at_once.name, all_at_once.freeze) == ("fine-tuning", Freeze())
    (all_at_once,) = plan(head_epochs=0)
    assert all_at_once.name == "fine-tuning"
    (scratch,) = plan(pretrained=False)
    assert (scratch.name, scratch.freeze, scratch.augment) == ("training", Freeze(), True)
    assert scratch.rate > all_at_once.rate


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"epochs": 0, "head_epochs": 0}, "nothing to train"),
        ({"freeze": "backbone", "head_epochs": 0}, "nothing to train"),
        ({"pretrained": False, "freeze": "backbone"}, "nothing to freeze"),
        ({"pretrained": False, "unfreeze": "top"}, "nothing to freeze"),
        ({"freeze": "none", "unfreeze": "top"}, "nothing is frozen"),
        ({"freeze": "none", "epochs": 0}, "must lie in 1 to"),
    ],
)
def test_plans_that_contradict_themselves_are_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(**words)
