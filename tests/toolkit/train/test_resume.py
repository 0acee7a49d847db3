"""A run that ends anywhere goes on to the same bits as one that never did."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.errors import DataError, UsageError
from mejiro.train import Conduct, loop, open_run, train, training
from mejiro.train.events import Events, Interrupted
from mejiro.train.settings import Balance, Optimizer, OptimizerKind
from mejiro.zoo import open_model, save_float_model

# A checkpoint after each step; never within an epoch.
ALWAYS, RARELY = Conduct(checkpoint_seconds=0.0), Conduct(checkpoint_seconds=1e9)


class Killed(BaseException):
    """Stand in for a signal that nothing can catch."""


def weights_of(folder: Path) -> list[np.ndarray]:
    return list(open_model(str(folder)).keras_model.get_weights())


def history_of(folder: Path) -> list[list[str]]:
    """Return the lines of the history without their seconds, which are never the same."""
    lines = (folder / "history.csv").read_text().splitlines()
    return [[*line.split(",")[:2], *line.split(",")[3:]] for line in lines]


def assert_same(one: Path, other: Path) -> None:
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        assert a.tobytes() == b.tobytes()
    assert history_of(one) == history_of(other)
    with np.load(one / "predictions.npz") as a, np.load(other / "predictions.npz") as b:
        assert a["probabilities"].tobytes() == b["probabilities"].tobytes()


def killing_after(function: Callable[..., None]) -> Callable[..., None]:
    """Return `function` as it is if the process ends as soon as it is done."""

    def call(*args: Any, **options: Any) -> None:
        function(*args, **options)
        raise Killed

    return call


def killing_at(step: int) -> Events:
    """Return events that end the run at its `step`-th step, in whatever phase that is."""
    left = [step]

    def count(report: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed

    return Events(step=count)


# The head's two epochs have 7 steps each, since mirror images double the pictures; the others 4.
KILLS: tuple[tuple[Any, ...], ...] = (
    (ALWAYS, 4),
    (loop, "write_best"),
    (loop, "write_checkpoint"),
    (RARELY, 9),
    (ALWAYS, 3),
    (loop, "write_history"),
    (training, "save_float_model"),
)


def test_a_run_killed_anywhere_ends_with_the_same_bits(
    full_settings: Any,
    dataset: Any,
    tmp_path: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    for place, what in KILLS:
        conduct = place if isinstance(place, Conduct) else RARELY
        events = killing_at(what) if isinstance(place, Conduct) else Events()
        with monkeypatch.context() as patch:
            if isinstance(what, str):
                patch.setattr(place, what, killing_after(getattr(place, what)))
            resume = out.exists()
            with pytest.raises(Killed):
                train(dataset, full_settings, out, resume=resume, conduct=conduct, events=events)
        assert not open_run(out).finished
    train(dataset, full_settings, out, resume=True)
    assert open_run(out).finished
    assert_same(finished, out)


def test_sgd_and_sampling_go_on_too(make_settings: Any, dataset: Any, tmp_path: Path) -> None:
    settings = make_settings(
        optimizer=Optimizer(OptimizerKind.SGD), balance=Balance.SAMPLE, patience=1
    )
    train(dataset, settings, tmp_path / "whole")
    with pytest.raises(Killed):
        train(dataset, settings, tmp_path / "parts", conduct=ALWAYS, events=killing_at(6))
    train(dataset, settings, tmp_path / "parts", resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def interrupting(**what: Any) -> Events:
    """Return events that press Ctrl-C as soon as one of them is called so for the first time."""
    left = dict(what)

    def call(name: str) -> Any:
        def check(*values: Any) -> None:
            if name in left and left[name](*values):
                left.clear()
                signal.raise_signal(signal.SIGINT)

        return check

    return Events(stage=call("stage"), progress=call("progress"), step=call("step"))


def test_a_request_to_stop_keeps_a_checkpoint_and_says_how_to_go_on(
    full_settings: Any, dataset: Any, tmp_path: Path, finished: Path
) -> None:
    out, before = tmp_path / "out", signal.getsignal(signal.SIGINT)
    for events, message in (
        (interrupting(stage=lambda text: "features of the val" in text), "before the first step"),
        (interrupting(step=lambda report: report.step == 6), "in head, epoch 1 of 2"),
        # While all 17 pictures are being validated, after the last step of the epoch.
        (interrupting(progress=lambda done, total: done == 8), "in fine-tuning, epoch 1 of 2"),
    ):
        if "fine-tuning" in message:
            # To the end of the head's phase first.
            with pytest.raises(Killed):
                train(dataset, full_settings, out, resume=True, events=killing_at(9))
        with pytest.raises(Interrupted, match=f"stopped {message}; .* --resume") as stopped:
            train(dataset, full_settings, out, resume=out.exists(), conduct=RARELY, events=events)
        assert stopped.value.exit_code == 130
        assert signal.getsignal(signal.SIGINT) is before
    steps: list[Any] = []
    train(dataset, full_settings, out, resume=True, events=Events(step=steps.append))
    assert (steps[0].phase, steps[0].epoch, steps[0].step) == ("fine-tuning", 2, 1)
    assert_same(finished, out)


@pytest.fixture(scope="module")
def killed(full_settings: Any, dataset: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "killed"
    with pytest.raises(Killed):
        train(dataset, full_settings, out, conduct=ALWAYS, events=killing_at(3))
    return out


@pytest.fixture
def begun(killed: Path, tmp_path: Path) -> Path:
    """A run that was killed in its first epoch."""
    return Path(shutil.copytree(killed, tmp_path / "begun"))


def test_other_settings_pictures_or_weights_are_refused(
    full_settings: Any, dataset: Any, begun: Path, tmp_path: Path, base_folder: Path
) -> None:
    kept = (begun / "checkpoint" / "state.npz").read_bytes()
    with pytest.raises(UsageError, match=r"begun with batch_size '8', found '4'"):
        train(dataset, replace(full_settings, batch_size=4), begun, resume=True)
    phases = (full_settings.phases[0], replace(full_settings.phases[1], rate=0.02))
    with pytest.raises(UsageError, match=r"phases\.2\.rate '0\.01', found '0\.02'"):
        train(dataset, replace(full_settings, phases=phases), begun, resume=True)
    with pytest.raises(UsageError, match="begun with other pictures"):
        train(replace(dataset, train=dataset.train[1:]), full_settings, begun, resume=True)
    changed = open_model(str(base_folder))
    layer = changed.keras_model.get_layer("maps")
    layer.set_weights([values + 1 for values in layer.get_weights()])
    original = (base_folder / "model.keras").read_bytes(), (base_folder / "model.json").read_bytes()
    try:
        save_float_model(changed, base_folder)
        with pytest.raises(UsageError, match="begun with other weights"):
            train(dataset, full_settings, begun, resume=True)
    finally:
        (base_folder / "model.keras").write_bytes(original[0])
        (base_folder / "model.json").write_bytes(original[1])
    assert (begun / "checkpoint" / "state.npz").read_bytes() == kept


def test_a_damaged_checkpoint_is_refused(full_settings: Any, dataset: Any, begun: Path) -> None:
    path = begun / "checkpoint" / "state.npz"
    whole = path.read_bytes()
    for data in (b"", whole[: len(whole) // 2], b"PK" + whole[2:-30]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"state\.npz cannot be read .* --force"):
            train(dataset, full_settings, begun, resume=True)


def test_a_finished_run_is_not_gone_on_with(
    full_settings: Any, dataset: Any, finished: Path
) -> None:
    with pytest.raises(UsageError, match=r"is finished; its model is .*model"):
        train(dataset, full_settings, finished, resume=True)


def test_there_must_be_a_run_to_go_on_with(
    full_settings: Any, dataset: Any, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="holds no training run"):
        train(dataset, full_settings, tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()
