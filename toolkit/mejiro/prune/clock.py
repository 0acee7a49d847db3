"""Time candidate cuts as the files that they would become."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mejiro.data.calibration import default_calibration
from mejiro.errors import PruneError
from mejiro.export import Exporter, export_with
from mejiro.model import Artifact, FloatModel
from mejiro.prune.graph import ChannelGraph
from mejiro.prune.surgery import cut
from mejiro.race import Conditions, Pace, Ratio, compare_paces, median_ratio, race
from mejiro_runtime.card import Format, Precision, card_path
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields
from mejiro_runtime.files import write_json

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
            files = _export(models, self.precision, Path(folder), self.on_progress)
            self.on_stage("timing the candidates in turns")
            return race(files, conditions, on_progress=self.on_progress)


class RemoteRace(Protocol):
    """Let files race on another machine: what a connection to a device offers."""

    def __call__(self, files: Sequence[Path], conditions: Conditions, /) -> Any:
        """Return the JSON value that `mejiro-run race` prints there for `files`, in their order.

        The card of each lies beside it (`mejiro_runtime.card.card_path`), and both have to go to
        the device; no two of the files have one name. The command is ``mejiro-run race FILES``
        with `Conditions.words` and ``--json``. Raises MejiroError where it cannot be had.
        """
        ...


@dataclass(frozen=True)
class RemoteClock:
    """Time models as TFLite files on another machine, in turns there; `where` names it."""

    run: RemoteRace
    where: str
    precision: Precision = Precision.INT8
    conditions: Conditions = field(default_factory=lambda: Conditions(ROUNDS, openings=OPENINGS))
    on_stage: Callable[[str], None] = lambda text: None
    on_progress: Callable[[int, int], None] = lambda done, total: None

    def __call__(self, models: Sequence[FloatModel], *, threads: int | None = None) -> list[Pace]:
        """See `Clock`; raises PruneError for an answer that is none, and what `run` raises."""
        conditions = replace(self.conditions, threads=threads or self.conditions.threads)
        with tempfile.TemporaryDirectory() as folder:
            self.on_stage(f"exporting {len(models)} candidates")
            files = _export(models, self.precision, Path(folder), self.on_progress)
            paths = [_renamed(file, number) for number, file in enumerate(files)]
            self.on_stage(f"timing the candidates in turns on {self.where}")
            answer = self.run(paths, conditions)
            return read_paces(answer, [path.name for path in paths], conditions, self.where)


def read_paces(answer: Any, names: Sequence[str], conditions: Conditions, where: str) -> list[Pace]:
    """Return the paces of the files `names` from what `mejiro-run race --json` printed.

    Raises PruneError, naming `where`, unless there is one for each, of as many rounds as asked.
    """
    try:
        fields = Fields(answer, f"the answer of {where}")
        fields.mapping("device")
        listed = fields.items("paces")
        fields.finish()
        paces = [Pace.from_json(one, f"the answer of {where}") for one in listed]
    except SpecError as error:
        raise PruneError(f"{error}; is its mejiro-run as new as this mejiro?") from None
    if [pace.file for pace in paces] != list(names):
        raise PruneError(f"{where} timed other files than those it was given")
    rounds = conditions.rounds * conditions.openings
    if any(len(pace.label_ns) != rounds for pace in paces):
        raise PruneError(f"{where} timed other than the {rounds} rounds it was asked for")
    return paces


def _export(
    models: Sequence[FloatModel],
    precision: Precision,
    folder: Path,
    on_progress: Callable[[int, int], None],
) -> list[Artifact]:
    """Export each of `models` to a folder of its own."""
    calibration = default_calibration()
    one_picture = replace(calibration, pictures=calibration.pictures[:1])
    files = []
    for number, model in enumerate(models):
        exporter = Exporter(replace(model, trained=None), calibration=one_picture)
        out = folder / str(number)
        files.append(export_with(exporter, format=Format.TFLITE, precision=precision, out=out))
        on_progress(number + 1, len(models))
    return files


def _renamed(file: Artifact, number: int) -> Path:
    """Give a file and its card a name that no other has, so that one folder can hold them all."""
    name = f"candidate-{number}{file.path.suffix}"
    path = file.path.rename(file.path.with_name(name))
    card_path(file.path).unlink()
    write_json(card_path(path), replace(file.card, file=name).to_json())
    return path


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
