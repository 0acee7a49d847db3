"""Settings check themselves and come back from JSON as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.data.augmentation import PRESETS
from mejiro.errors import UsageError
from mejiro.train.freezing import Freeze, FreezeKind
from mejiro.train.settings import (
    Balance,
    BatchNorm,
    Head,
    Loss,
    LossKind,
    Optimizer,
    OptimizerKind,
    Phase,
    Pooling,
    Settings,
)
from mejiro.zoo import Activation, BuildOptions
from mejiro_runtime.errors import SpecError

PHASE = Phase("training", 3, 0.1)
_shares = st.floats(0, 0.9)
_freezes = st.one_of(
    st.sampled_from([Freeze(), Freeze(FreezeKind.BACKBONE)]),
    st.integers(1, 99).map(lambda count: Freeze(FreezeKind.ALL_BUT, count=count)),
    st.sampled_from([FreezeKind.THROUGH, FreezeKind.BEFORE]).map(
        lambda kind: Freeze(kind, layer="block1a")
    ),
)
_phases = st.builds(
    Phase,
    name=st.just("training"),
    epochs=st.integers(1, 99),
    rate=st.floats(1e-6, 1),
    freeze=_freezes,
    warmup=_shares,
    depth_factor=st.floats(0.01, 1),
    head_factor=st.floats(0.1, 10),
    augment=st.booleans(),
)
_settings = st.builds(
    Settings,
    model=st.sampled_from(["mobilenet-v2", "Modelle/größe"]),
    phases=_phases.map(lambda phase: (phase,)),
    weights=st.sampled_from([None, "none", "pretrained"]),
    build=st.builds(
        BuildOptions,
        image_size=st.none() | st.integers(32, 512),
        alpha=st.none() | st.floats(0.1, 2),
        seed=st.integers(0, 9),
        activation=st.none() | st.sampled_from(Activation),
    ),
    head=st.builds(Head, st.sampled_from(Pooling), st.integers(0, 512), _shares),
    loss=st.builds(Loss, st.sampled_from(LossKind), _shares, st.floats(0, 5)),
    optimizer=st.builds(
        Optimizer, st.sampled_from(OptimizerKind), _shares, _shares, st.floats(0, 9), _shares
    ),
    augmentation=st.sampled_from(list(PRESETS.values())),
    balance=st.sampled_from(Balance),
    batch_norm=st.sampled_from(BatchNorm),
    batch_size=st.integers(1, 999),
    patience=st.integers(0, 9),
    mixed_precision=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)


@given(_settings)
def test_settings_come_back_from_json(settings: Settings) -> None:
    text = json.dumps(settings.to_json(), allow_nan=False)
    assert Settings.from_json(json.loads(text)) == settings


def test_what_is_not_known_is_refused() -> None:
    value = Settings("tiny", (PHASE,)).to_json()
    with pytest.raises(SpecError, match="unknown fields: 'speed'"):
        Settings.from_json({**value, "speed": 3})
    with pytest.raises(SpecError, match="has no 'loss'"):
        Settings.from_json({name: entry for name, entry in value.items() if name != "loss"})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Settings("tiny", ()), "nothing to train"),
        (lambda: Settings("tiny", (PHASE, PHASE)), "names of their own"),
        (lambda: Settings("tiny", (PHASE,), batch_size=0), "batch size must lie in 1"),
        (lambda: Settings("tiny", (PHASE,), seed=-1), "seed must lie in 0"),
        (lambda: Phase("training", 0, 0.1), "epochs of phase 'training' must lie in 1"),
        (lambda: Phase("training", 1, 0.0), "rate must lie above 0"),
        (lambda: Phase("training", 1, float("nan")), "rate must lie above 0"),
        (lambda: Phase("training", 1, 0.1, depth_factor=0), "depth factor"),
        (lambda: Head(hidden=-1), "hidden units"),
        (lambda: Head(dropout=1.0), "dropout must lie"),
        (lambda: Loss(label_smoothing=1.0), "label smoothing must lie"),
        (lambda: Optimizer(weight_decay=float("nan")), "weight decay must lie"),
        (lambda: Freeze(FreezeKind.ALL_BUT), "does not go with 0 layers"),
        (lambda: Freeze(FreezeKind.THROUGH), "does not go with layer ''"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()
