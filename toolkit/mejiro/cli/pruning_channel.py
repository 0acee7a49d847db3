"""Define `mejiro prune --method channel`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from mejiro.cli.console import Reporter, note, print_table, say
from mejiro.cli.pruning import Method, Outcome, Request, tell_gains
from mejiro.errors import UsageError
from mejiro.model import FloatModel
from mejiro.prune.clock import Clock, FileClock, RemoteClock, RemoteRace
from mejiro.prune.count import Measure
from mejiro.prune.importance import Criterion
from mejiro.prune.options import ChannelOptions, Target
from mejiro.prune.record import PruningRecord
from mejiro.prune.stepwise import STEPS, Recovery, prune_channels
from mejiro.prune.widths import MULTIPLE
from mejiro.train.pictures import Pictures
from mejiro_runtime.card import Precision

PICTURES = 200
LEAST_SQUARES, NO_CLOCK = "least-squares", "off"
_SHARE = click.FloatRange(0, 1, min_open=True)

_OPTIONS = (
    click.option("--macs", type=_SHARE, help="channel: share of the multiply-adds to keep."),
    click.option("--params", type=_SHARE, help="channel: share of the parameters to keep."),
    click.option(
        "--latency",
        type=_SHARE,
        help="channel: share of the time from frame to label to keep, measured here or --on URL.",
    ),
    click.option(
        "--on",
        metavar="URL",
        help="channel: time on this device, such as ssh://pi@kitchen.local, not on this machine.",
    ),
    click.option(
        "--clock",
        type=click.Choice([Precision.INT8.value, Precision.FP32.value, NO_CLOCK]),
        help="channel: the file by whose time a layer stays whole or not; default: int8.",
    ),
    click.option(
        "--importance",
        type=click.Choice([LEAST_SQUARES, *(one.value for one in Criterion)]),
        help="channel: which go first; default: those that others can best stand in for.",
    ),
    click.option(
        "--multiple",
        type=click.IntRange(1, 1024),
        help=f"channel: keep a multiple of so many channels; default: {MULTIPLE}.",
    ),
    click.option(
        "--steps",
        type=click.IntRange(1, 100),
        help=f"channel: cut in so many steps, with training in between; default: {STEPS}.",
    ),
)
_NAMES = ("macs", "params", "latency", "on", "clock", "importance", "multiple", "steps")


@dataclass(frozen=True)
class Asked:
    """Hold what the options mean."""

    target: Target
    options: ChannelOptions
    clock: Precision | None
    steps: int | None
    on: str | None = None


def channel_settings(options: Mapping[str, Any]) -> Asked:
    """Return what the options mean; raises UsageError."""
    shares = {one: options[one.value] for one in Measure if options[one.value] is not None}
    if len(shares) != 1:
        found = ", ".join(f"--{one.value}" for one in shares) or "none of them"
        raise UsageError(
            "pruning channels needs one of --macs, --params or --latency, the share to keep of "
            f"it; found {found}"
        )
    ((measure, share),) = shares.items()
    clock = options["clock"] or Precision.INT8.value
    if measure is Measure.LATENCY and clock == NO_CLOCK:
        raise UsageError("--latency is aimed at by the clock; leave --clock off out, or use --macs")
    if options["on"] is not None and clock == NO_CLOCK:
        raise UsageError("--on says where the clock is; leave --clock off out, or --on")
    importance = options["importance"] or LEAST_SQUARES
    return Asked(
        target=Target(share, measure),
        options=ChannelOptions(
            multiple=options["multiple"] or MULTIPLE,
            criterion=None if importance == LEAST_SQUARES else Criterion(importance),
        ),
        clock=None if clock == NO_CLOCK else Precision(clock),
        steps=options["steps"],
        on=options["on"],
    )


def remote_race(url: str) -> RemoteRace:
    """Return what races files on a device: the only place where pruning meets devices."""
    from mejiro import deploy

    return deploy.remote_race(url)


def _clock(asked: Asked, shown: Reporter) -> Clock | None:
    if asked.clock is None:
        return None
    if asked.on is None:
        return FileClock(asked.clock, on_stage=shown.stage, on_progress=shown.advance)
    return RemoteClock(
        remote_race(asked.on),
        asked.on,
        asked.clock,
        on_stage=shown.stage,
        on_progress=shown.advance,
    )


def _prune(request: Request) -> Outcome:
    asked = channel_settings(request.options)
    if request.pictures is None and asked.steps is not None:
        raise UsageError(
            "--steps are trained in between; give pictures with --data, or leave it out"
        )
    tensors, labels = _look_at(request, asked.options.criterion)
    if request.pictures is None:
        request.shown.note(
            "nothing is trained: layers are solved anew so that they give what they gave before, "
            f"on {len(tensors)} pictures"
        )
    recovery = None
    if request.pictures is not None:
        steps = asked.steps or min(STEPS, request.training.epochs)
        recovery = Recovery(request.pictures, request.training, steps)
    clock = _clock(asked, request.shown)
    pruned, record = prune_channels(
        request.model,
        asked.target,
        tensors,
        asked.options,
        labels=labels,
        recovery=recovery,
        clock=clock,
        events=request.events,
    )
    gains = request.gains(pruned)
    criterion = asked.options.criterion
    value = {
        "settings": {
            "measure": asked.target.measure.value,
            "share": asked.target.share,
            "clock": None if asked.clock is None else asked.clock.value,
            **({} if asked.on is None else {"on": asked.on}),
            "importance": LEAST_SQUARES if criterion is None else criterion.value,
            "multiple": asked.options.multiple,
        },
        **record.to_json(),
        "files": {name: gain.to_json() for name, gain in gains.items()},
    }

    def tell() -> None:
        _tell(record, asked.target)
        tell_gains(gains, "its cuts save bytes, no time")

    return Outcome(pruned, value, tell)


def _look_at(
    request: Request, criterion: Criterion | None
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    """Return the pictures that show what layers see, and their labels if there are any."""
    pictures = request.pictures
    if pictures is not None:
        places = _spread(len(pictures.train))
        truth = pictures.train_truth
        return _tensors(request.model, pictures, places), None if truth is None else truth[places]
    if criterion is Criterion.TAYLOR:
        raise UsageError(
            "--importance taylor needs pictures with labels; give some with --data, or use "
            "activation"
        )
    seen = request.calibration.tensors(request.model.input, on_unreadable=lambda one: None)
    return np.concatenate(list(seen)), None


def _spread(count: int) -> NDArray[np.int64]:
    """Return up to `PICTURES` places from all over: pictures lie class by class."""
    places = np.linspace(0, count - 1, min(count, PICTURES))
    return np.round(places).astype(np.int64)


def _tensors(
    model: FloatModel, pictures: Pictures, places: NDArray[np.int64]
) -> NDArray[np.float32]:
    spec = model.input
    rows = np.stack([pictures.train[place] for place in places]).astype(np.float32)
    scale, offset = (np.array(ends, np.float32) for ends in (spec.scale, spec.offset))
    return rows * scale + offset


def _tell(record: PruningRecord, target: Target) -> None:
    before, after = record.before, record.after
    print_table(
        ["", ">before", ">after", ">kept"],
        [
            ["multiply-adds", *_counts(before.multiply_adds, after.multiply_adds)],
            ["parameters", *_counts(before.parameters, after.parameters)],
        ],
    )
    print_table(["channels of", ">before", ">after", ">time with the cut"], _rows(record))
    if record.whole:
        note(f"{len(record.whole)} groups cannot be cut by themselves; pruning.json says why")
    if record.timing is not None:
        left = record.timing.left
        if left:
            note(f"left whole, since no cut made the file faster: {', '.join(left)}")
        ratio = record.timing.ratio
        said = f"{ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
        say(f"time from frame to label, over that of the whole network: {said}")
        if target.measure is Measure.LATENCY and ratio.median > target.share:
            note(
                f"that is more than the {target.share:g} asked for, and the nearest that was "
                "found; a smaller input may save more"
            )


def _counts(before: int, after: int) -> list[str]:
    return [f"{before / 1e6:.2f} M", f"{after / 1e6:.2f} M", f"{100 * after / before:.1f}%"]


def _rows(record: PruningRecord) -> list[list[str]]:
    timing = record.timing
    rows = []
    for name, group in record.groups.items():
        time = "" if timing is None else "not cut"
        if timing is not None and name in timing.groups and group.kept < group.channels:
            one = timing.groups[name].ratio
            time = f"{one.median:.3f} [{one.low:.3f}, {one.high:.3f}]"
        elif timing is not None and name in timing.left:
            time = "not faster"
        rows.append([name, str(group.channels), str(group.kept), time])
    return rows


CHANNEL = Method(names=_NAMES, options=_OPTIONS, check=channel_settings, prune=_prune)
