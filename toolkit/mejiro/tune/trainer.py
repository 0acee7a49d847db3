"""Carry out the runs of trials, each in a process of its own; pictures are decoded once a size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mejiro.data.dataset import Dataset
from mejiro.data.pixels import decode_pixels
from mejiro.train import Conduct, Settings, train
from mejiro.train.events import Events
from mejiro.train.folder import CACHE, is_run
from mejiro.train.freezing import Freeze, frozen_count
from mejiro.train.machine import Machine, prepare
from mejiro.train.network import input_of, open_network
from mejiro.tune.folder import PIXELS, trial_folder
from mejiro.tune.process import run_apart
from mejiro.tune.search import Job


@dataclass(frozen=True)
class ApartTrainer:
    """Train in a folder below `folder` for each trial."""

    dataset: Dataset
    folder: Path
    machine: Machine

    def __call__(self, job: Job, events: Events) -> None:
        """Train as `job` says; see `search.Trainer`."""
        conduct = Conduct(machine=self.machine, command=job.command)
        out = trial_folder(self.folder, job.number)
        pixels = self.folder / PIXELS
        run_apart(_train, self.dataset, job.settings, out, pixels, conduct, events=events)


def _train(
    dataset: Dataset,
    settings: Settings,
    out: Path,
    pixels: Path,
    conduct: Conduct,
    *,
    events: Events,
) -> None:
    """Train in `out` with pixels that lie in the folder `pixels`, or are decoded to there."""
    spec = input_of(settings)
    files = []
    for pictures in (dataset.train, dataset.val):
        events.stage(f"decoding {len(pictures)} pictures")
        decoded: Any = decode_pixels(pictures, spec, pixels, on_progress=events.progress)
        files.append(Path(decoded.filename))

    def stage(text: str) -> None:
        _share(files, out)
        events.stage(text)

    train(dataset, settings, out, force=True, conduct=conduct, events=replace(events, stage=stage))


def _share(files: Sequence[Path], out: Path) -> None:
    """Give `files` to the cache of the run in `out`, as soon as it has begun.

    Hard links: what the run removes of its cache at its end stays here.
    """
    if not is_run(out) or (out / CACHE).exists():
        return
    (out / CACHE).mkdir()
    for file in files:
        os.link(file, out / CACHE / file.name)


def count_layers(
    settings: Settings, classes: int, freezes: Sequence[Freeze], machine: Machine, events: Events
) -> int:
    """Return how many layers of the backbone have weights.

    Opens the network, in a process of its own: what is wrong with the model, its weights or the
    `freezes`, or absent from this machine, is said before a study begins.
    """
    return run_apart(_count_layers, settings, classes, tuple(freezes), machine, events=events)


def _count_layers(
    settings: Settings,
    classes: int,
    freezes: tuple[Freeze, ...],
    machine: Machine,
    *,
    events: Events,
) -> int:
    prepare(machine, mixed_precision=settings.mixed_precision)
    events.stage(f"opening {settings.model}")
    backbone = open_network(settings, classes).backbone
    for freeze in freezes:
        frozen_count(freeze, backbone)
    return sum(bool(layer.weights) for layer in backbone)
