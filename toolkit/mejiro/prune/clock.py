"""Time candidate cuts as the files that they would become."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from mejiro.data.calibration import default_calibration
from mejiro.export import Exporter, export_with
from mejiro.model import Artifact, FloatModel
from mejiro.prune.graph import ChannelGraph
from mejiro.prune.surgery import cut
from mejiro.race import Conditions, Pace, Ratio, compare_paces, median_ratio, race
from mejiro_runtime.card import Format, Precision

OPENINGS, ROUNDS = 8, 6


class Clock(Protocol):
    """Say what models take as files, on this machine or on another."""

    def __call__(self, models: Sequence[FloatModel], *, threads: int | None = None) -> list[Pace]:
        """Return the pace of each of `models` in the same rounds; None: the usual threads."""
        ...


@dataclass(frozen=True)
class GroupTime:
    """Hold what cutting one group to `width` is worth while all other cuts stay.

    `ratio` is the engine's time of the file with the cut over that of the file without it, and
    `saved_ns` how much shorter it is, in nanoseconds; both with one thread.
    """

    width: int
    ratio: Ratio
    saved_ns: float

    @property
    def worth_it(self) -> bool:
        """Whether the file is faster for the cut, beyond what chance does."""
        return self.ratio.faster


@dataclass(frozen=True)
class Race:
    """Hold a race of a cut against the uncut model, and against itself with each group put back.

    `ratio` is from frame to label with the usual threads, the cut file's over the uncut one's;
    `whole_ns` is the uncut file's engine time with one.
    """

    ratio: Ratio
    groups: Mapping[str, GroupTime]
    whole_ns: float
    engine: str


@dataclass(frozen=True)
class FileClock:
    """Time models as TFLite files on this machine, in turns.

    Int8 files are calibrated with one picture: ranges change what a file says, not how fast.
    """

    precision: Precision = Precision.INT8
    conditions: Conditions = field(default_factory=lambda: Conditions(ROUNDS, openings=OPENINGS))
    on_stage: Callable[[str], None] = lambda text: None
    on_progress: Callable[[int, int], None] = lambda done, total: None

    def __call__(self, models: Sequence[FloatModel], *, threads: int | None = None) -> list[Pace]:
        """See `Clock`; raises what exporting and opening files raise."""
        conditions = replace(self.conditions, threads=threads or self.conditions.threads)
        with tempfile.TemporaryDirectory() as folder:
            self.on_stage(f"exporting {len(models)} candidates")
            files = []
            for number, model in enumerate(models):
                files.append(self._export(model, Path(folder) / str(number)))
                self.on_progress(number + 1, len(models))
            self.on_stage("timing the candidates in turns")
            return race(files, conditions, on_progress=self.on_progress)

    def _export(self, model: FloatModel, folder: Path) -> Artifact:
        calibration = default_calibration()
        exporter = Exporter(
            replace(model, trained=None),
            calibration=replace(calibration, pictures=calibration.pictures[:1]),
        )
        return export_with(exporter, format=Format.TFLITE, precision=self.precision, out=folder)


def race_cut(
    clock: Clock,
    graph: ChannelGraph,
    model: FloatModel,
    widths: Mapping[str, int],
) -> Race:
    """Time `model` cut to `widths` against the uncut, and against the same cut less one group each.

    Which channels stay makes no difference to the time, so the first ones do. What one group is
    worth is a hundredth of the whole, less than where an engine's threads happen to run changes;
    so that is told apart with one thread.
    """
    narrow = {n: w for n, w in widths.items() if w < graph.groups[n].channels}
    candidates = [narrow, *({n: w for n, w in narrow.items() if n != name} for name in narrow)]
    models = [_candidate(graph, model, one) for one in candidates]
    all_cut, *put_back, whole = clock([*models, model], threads=1)
    cut_file, whole_file = clock([models[0], model])
    groups = {
        name: GroupTime(
            width=narrow[name],
            ratio=median_ratio(all_cut.infer_ns, pace.infer_ns),
            saved_ns=float(np.median(np.subtract(pace.infer_ns, all_cut.infer_ns))),
        )
        for name, pace in zip(narrow, put_back, strict=True)
    }
    return Race(
        ratio=compare_paces(cut_file, whole_file),
        groups=groups,
        whole_ns=float(np.median(whole.infer_ns)),
        engine=whole_file.engine,
    )


def _candidate(graph: ChannelGraph, model: FloatModel, widths: Mapping[str, int]) -> FloatModel:
    keep = {name: np.arange(width) for name, width in widths.items()}
    return replace(model, keras_model=cut(graph, keep))
