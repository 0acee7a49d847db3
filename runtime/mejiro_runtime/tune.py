"""Find out which artifact, engine and number of threads is fastest here, by taking turns.

Every way is tried shortly; the fastest then race each other in rounds, opened anew several times,
since where an engine's threads come to run is drawn when a file is opened. Nothing is assumed of a
precision: int8 is as fast as it is measured to be.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from time import perf_counter_ns
from typing import Any, NamedTuple

from mejiro_runtime.backends import BACKENDS, backend_for, default_threads
from mejiro_runtime.bundle import Bundle
from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.errors import BackendError, MissingPackage, ModelError, UsageError
from mejiro_runtime.intervals import Ratio, median_ratio
from mejiro_runtime.jetson import has_nvidia_gpu
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.selection import choose_card, runnable_cards
from mejiro_runtime.sources.synthetic import SyntheticSource
from mejiro_runtime.tuned import Pace, Tuned, this_cpu
from mejiro_runtime.turns import settle, turn_order
from mejiro_runtime.types import Frame

FRAME_WIDTH, FRAME_HEIGHT = 640, 480
OPENINGS, ROUNDS, FRAMES = 3, 6, 10
TRY_FRAMES, TRY_NS = 12, 400_000_000
FINALISTS, WITHIN = 6, 1.6
# Providers of ONNX Runtime that are tried besides its own; those of LiteRT are what is installed.
PROVIDERS = ("cuda", "openvino", "xnnpack")
GPU_PROVIDERS = ("tensorrt", "cpu")  # with an NVIDIA GPU; a Jetson's default is not the CPU


class Way(NamedTuple):
    """Name one way to run an artifact; `variant` is empty for the engine's usual one."""

    card: ArtifactCard
    variant: str
    threads: int

    @property
    def backend(self) -> str:
        """What ``--backend`` takes."""
        name = backend_for(self.card.format)
        return f"{name}:{self.variant}" if self.variant else name

    def __str__(self) -> str:
        return f"{self.card.file} on {self.backend}, {self.threads} threads"


class Timed(NamedTuple):
    """Hold what a way took: a median for each round, and what it is to the default, by rounds.

    Ways that were only tried have one value and no ratio.
    """

    way: Way
    engine: str
    version: str
    label_ns: tuple[int, ...]
    to_default: Ratio | None = None

    @property
    def median_ns(self) -> int:
        """The median over the rounds, from frame to label."""
        return round(statistics.median(self.label_ns))

    @property
    def pace(self) -> Pace:
        """What is kept of it."""
        way = self.way
        return Pace(
            way.card.file, way.card.sha256, way.backend, self.engine, self.version, way.threads,
            self.median_ns,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value = {"artifact": self.way.card.file, "precision": self.way.card.precision.value}
        return {
            **value,
            **self.pace.to_json(),
            "top1": recorded_top1(self.way.card),
            "rounds": len(self.label_ns),
            "to_default": self.to_default and self.to_default.to_json(),
        }


class Tuning(NamedTuple):
    """Hold what was measured, fastest first, the choice among it, and why some were left out."""

    choice: Timed
    default: Timed
    raced: tuple[Timed, ...]
    tried: tuple[Timed, ...]
    notes: tuple[str, ...]

    @property
    def tuned(self) -> Tuned:
        """What is kept beside the bundle: the choice, and the best way for each artifact."""
        best: dict[str, Pace] = {}
        for one in (*self.raced, *self.tried):
            best.setdefault(one.way.card.file, one.pace)
        return Tuned(self.choice.pace, tuple(best.values()), *this_cpu())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "choice": self.choice.to_json(),
            "default": self.default.to_json(),
            "raced": [one.to_json() for one in self.raced],
            "tried": [one.to_json() for one in self.tried],
            "notes": list(self.notes),
        }


def recorded_top1(card: ArtifactCard) -> float | None:
    """Return the share of right first answers that the card records, or None."""
    value = (card.evaluation or {}).get("top1")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None
    return float(value)


def accurate_enough(
    cards: Sequence[ArtifactCard], default: ArtifactCard, max_drop: float
) -> tuple[list[ArtifactCard], list[str]]:
    """Return the cards that may be chosen, and a note on each that may not, or is not recorded.

    At most `max_drop` points of top-1 may be lost to the best that is recorded. A card without a
    record may be chosen only where one of the same precision may, or, if none has a record, where
    it has the precision of `default`.
    """
    scores = {card.file: top1 for card in cards if (top1 := recorded_top1(card)) is not None}
    best = max(scores.values(), default=0.0)
    # What a float makes of a point must not decide.
    enough = [
        c for c in cards if c.file in scores and (best - scores[c.file]) * 100 <= max_drop + 1e-9
    ]
    trusted = {card.precision for card in enough} if scores else {default.precision}
    allowed, notes = [], []
    if not scores:
        kind = default.precision.value
        notes.append(f"no accuracy is recorded, so only artifacts in {kind} are compared")
    for card in cards:
        lost = (best - scores.get(card.file, best)) * 100
        if card in enough or (card.file not in scores and card.precision in trusted):
            allowed.append(card)
        elif card.file in scores:
            notes.append(f"{card.file} is left out: it loses {lost:.1f} points of top-1")
        elif scores:
            notes.append(f"{card.file} is left out: its accuracy is not recorded")
        if scores and card in allowed and card not in enough:
            notes.append(f"{card.file}: accuracy not recorded, taken to be that of others like it")
    return allowed, notes


def ways_of(card: ArtifactCard) -> list[Way]:
    """Return the ways to try for one artifact: engines, and numbers of threads."""
    module = BACKENDS[backend_for(card.format)].load()
    others = [name for name in module.installed()[1:] if name != "tensorflow"]
    if backend_for(card.format) == "onnxruntime":
        others = [*(GPU_PROVIDERS if has_nvidia_gpu() else ()), *PROVIDERS]
    most = default_threads()
    counts = sorted({count for count in (1, 2, 4, most) if count <= most}, reverse=True)
    return [Way(card, variant, count) for variant in ("", *others) for count in counts]


def tune(
    bundle: Bundle,
    *,
    max_drop: float = 1.0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Tuning:
    """Measure the ways to run `bundle` here and choose one.

    The fastest is chosen of those whose accuracy is enough; among ways that chance may have put in
    their order, the most accurate, then the default. The frames are synthetic, 640x480 in BGR.
    `on_progress` gets a stage, what is done and of how many. Raises what opening the default does.
    """
    if not max_drop >= 0:
        raise UsageError(f"--max-drop is a number of points, 0 or more; found {max_drop:g}")
    tell = on_progress or (lambda stage, done, total: None)
    default = Way(choose_card(bundle), "", default_threads())
    cards = runnable_cards(bundle)
    allowed, notes = accurate_enough(cards, default.card, max_drop)
    frames = _frames()
    tried, failures = _try_all(bundle, cards, frames, tell)
    if not any(one.way == default for one in tried):
        _open(bundle, default).close()  # raises, and says why
    names = {card.file for card in allowed} | {default.card.file}
    raced = _race(bundle, _finalists(tried, default, names), frames, tell)
    choice = _choose([one for one in raced if one.way.card in allowed] or raced, default)
    return Tuning(
        choice=choice,
        default=next(one for one in raced if one.way == default),
        raced=tuple(sorted(raced, key=lambda one: one.median_ns)),
        tried=tuple(sorted(tried, key=lambda one: one.median_ns)),
        notes=(*notes, *failures),
    )


def _frames() -> list[Frame]:
    with SyntheticSource(FRAME_WIDTH, FRAME_HEIGHT) as source:
        stream = source.frames()
        return [next(stream) for _ in range(FRAMES)]


def _open(bundle: Bundle, way: Way) -> Model:
    path = bundle.model_path(way.card)
    return open_model(path, way.card, backend=way.backend, threads=way.threads)


def _try_all(
    bundle: Bundle,
    cards: Iterable[ArtifactCard],
    frames: Sequence[Frame],
    tell: Callable[[str, int, int], None],
) -> tuple[list[Timed], list[str]]:
    """Return a short measurement of each way that works, and what is said of the others."""
    ways = [way for card in cards for way in ways_of(card)]
    found, failures, missing = [], [], set()
    for number, way in enumerate(ways):
        tell("trying", number + 1, len(ways))
        if (way.card.file, way.variant) in missing:
            continue
        try:
            with _open(bundle, way) as model:
                found.append(_try(way, model, frames))
        except (BackendError, MissingPackage, ModelError) as error:
            missing.add((way.card.file, way.variant))
            # That a provider is not installed is no news; that the usual engine fails is.
            if not way.variant:
                failures.append(f"{way.card.file} cannot run on {way.backend}: {error}")
    return found, failures


def _try(way: Way, model: Model, frames: Sequence[Frame]) -> Timed:
    """Return the shortest of a few frames: what the machine did meanwhile only adds to them."""
    durations: list[int] = []
    settle(model, frames)
    end = perf_counter_ns() + TRY_NS
    while len(durations) < TRY_FRAMES and (len(durations) < 3 or perf_counter_ns() < end):
        durations.append(model(frames[len(durations) % len(frames)]).timing.frame_to_label_ns)
    return Timed(way, model.info.engine, model.info.version, (min(durations),))


def _finalists(tried: Sequence[Timed], default: Way, names: set[str]) -> list[Way]:
    """Return the default, the fastest ways of the artifacts called `names`, and of each other one.

    The others cannot be chosen; their paces are for `run --keep-fps`.
    """
    ordered = sorted(tried, key=lambda one: one.median_ns)
    able = [one for one in ordered if one.way.card.file in names]
    near = [one.way for one in able if one.median_ns <= WITHIN * able[0].median_ns]
    ways = [default, *[way for way in near if way != default][: FINALISTS - 1]]
    for one in ordered:
        if one.way.card.file not in [way.card.file for way in ways]:
            ways.append(one.way)
    return ways


def _race(
    bundle: Bundle,
    ways: Sequence[Way],
    frames: Sequence[Frame],
    tell: Callable[[str, int, int], None],
) -> list[Timed]:
    """Let `ways`, the default first, take turns; each is opened `OPENINGS` times."""
    taken: list[list[int]] = [[] for _ in ways]
    engines = [("", "")] * len(ways)
    for opening in range(OPENINGS):
        with ExitStack() as stack:
            models = [stack.enter_context(_open(bundle, way)) for way in ways]
            engines = [(model.info.engine, model.info.version) for model in models]
            for number in range(ROUNDS):
                tell("racing", opening * ROUNDS + number + 1, OPENINGS * ROUNDS)
                for place in turn_order(len(ways), number):
                    settle(models[place], frames)
                    timings = [models[place](frame).timing for frame in frames]
                    median = statistics.median(one.frame_to_label_ns for one in timings)
                    taken[place].append(round(median))
    return [
        Timed(way, *engine, tuple(values), median_ratio(values, taken[0]))
        for way, engine, values in zip(ways, engines, taken, strict=True)
    ]


def _choose(raced: Sequence[Timed], default: Way) -> Timed:
    """Return the fastest; of those that are not slower beyond chance the best by other measures."""
    fastest = min(raced, key=lambda one: one.median_ns)
    equal = [one for one in raced if not median_ratio(one.label_ns, fastest.label_ns).slower]
    return min(
        equal,
        key=lambda one: (
            -(recorded_top1(one.way.card) or 0.0),
            one.way != default,
            one.way.threads,
            one.median_ns,
        ),
    )
