"""Share what the benchmarks have in common: rounds, ratios, results, a bundle, photographs.

Whatever is compared takes turns, round by round, so that all meet the same state of the machine;
each round gives one ratio, and the figure is the median of those. A machine that is busy for some
seconds then spoils some rounds, not one side of the comparison.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray

from mejiro_runtime.files import write_json

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks"
RESULTS = FOLDER / "results"
CACHE = ROOT / ".cache" / "bench"
FRAME_WIDTH, FRAME_HEIGHT = 640, 480
RESAMPLES = 4000

# Way -> figure -> its value in each round.
Rounds = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Ratio:
    """Hold how one way compares with another: the median over rounds and its 95% interval.

    The interval is the percentile bootstrap of that median over the rounds (Efron 1979), drawn
    with a fixed seed. `limit` is the figure to reach, at most or at least as `lower_is_better`.
    """

    name: str
    median: float
    low: float
    high: float
    limit: float | None = None
    lower_is_better: bool = True

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the limit; None without one."""
        if self.limit is None:
            return None
        return self.median <= self.limit if self.lower_is_better else self.median >= self.limit

    def to_json(self) -> dict[str, Any]:
        return {
            "median": round(self.median, 4),
            "interval_95": [round(self.low, 4), round(self.high, 4)],
            "limit": self.limit,
            "lower_is_better": self.lower_is_better,
            "reached": self.reached,
        }

    def __str__(self) -> str:
        text = f"{self.name:44} {self.median:6.3f}  [{self.low:.3f}, {self.high:.3f}]"
        if self.limit is None:
            return text
        sign, word = ("<=" if self.lower_is_better else ">="), ("yes" if self.reached else "NO")
        return f"{text}  {sign} {self.limit:g}: {word}"


def ratio(
    name: str,
    above: Sequence[float],
    below: Sequence[float],
    *,
    limit: float | None = None,
    lower_is_better: bool = True,
) -> Ratio:
    """Compare two ways, each with one figure a round, in the same order of rounds."""
    by_round = np.asarray(above, dtype=np.float64) / np.asarray(below, dtype=np.float64)
    drawn = np.random.default_rng(0).integers(0, by_round.size, (RESAMPLES, by_round.size))
    medians = np.median(by_round[drawn], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Ratio(name, float(np.median(by_round)), float(low), float(high), limit, lower_is_better)


def take_turns(ways: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int) -> Rounds:
    """Run each way once a round, and return the figures that it gave.

    The order changes from round to round, so that nobody always follows the same neighbour.
    """
    gathered: Rounds = {name: {} for name in ways}
    names = list(ways)
    for number in range(rounds):
        start = number % len(names)
        order = names[start:] + names[:start]
        for name in order if number % 2 == 0 else reversed(order):
            for figure, value in ways[name]().items():
                gathered[name].setdefault(figure, []).append(value)
        show_progress(number + 1, rounds)
    return gathered


def show_progress(done: int, total: int) -> None:
    """Show the number of rounds on a terminal."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        sys.stderr.write(f"\r  round {done} of {total}{end}")
        sys.stderr.flush()


def time_each(call: Callable[[Any], object], items: Sequence[Any], warm: int = 2) -> list[int]:
    """Return the nanoseconds that `call` takes for each of `items`, after `warm` more calls."""
    for item in items[:warm]:
        call(item)
    durations = []
    for item in items:
        start = time.perf_counter_ns()
        call(item)
        durations.append(time.perf_counter_ns() - start)
    return durations


def parse_arguments(description: str | None) -> argparse.Namespace:
    """Read what every benchmark takes: --quick, --bundle, --out."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds; nothing is recorded")
    parser.add_argument(
        "--bundle", type=Path, help="default: EfficientNet-Lite0 int8, made in .cache/bench"
    )
    parser.add_argument("--out", type=Path, help="the file that keeps what was measured")
    return parser.parse_args()


def report(
    options: argparse.Namespace,
    ratios: Sequence[Ratio],
    *,
    settings: Mapping[str, Any],
    rounds: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> None:
    """Print the ratios, and write them with all that was measured, the machine and the date.

    `rounds` holds the raw figures. A quick run is written only where `--out` says.
    """
    for one in ratios:
        print(one)
    for note in notes:
        print(f"note: {note}")
    out: Path | None = options.out
    if out is None and not options.quick:
        out = RESULTS / f"{Path(sys.argv[0]).stem}.json"
    if out is None:
        return
    value = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "quick": options.quick,
        "settings": dict(settings),
        "ratios": {one.name: one.to_json() for one in ratios},
        "medians": _medians(rounds),
        "rounds": _rounded(rounds),
        "notes": list(notes),
    }
    write_json(out, value)
    print(f"written: {out}")


def _medians(rounds: Any) -> Any:
    if isinstance(rounds, Mapping):
        return {name: _medians(value) for name, value in rounds.items()}
    return _significant(float(np.median(rounds)))


def _rounded(rounds: Any) -> Any:
    if isinstance(rounds, Mapping):
        return {name: _rounded(value) for name, value in rounds.items()}
    return [_significant(value) for value in rounds]


def _significant(value: float) -> float:
    """Keep five digits, more than any of these clocks is good for."""
    return float(f"{value:.5g}")


def script(name: str) -> Path:
    """Return a command of this Python's environment, as a user types it."""
    path = Path(sys.executable).with_name(name)
    if not path.is_file():
        raise SystemExit(f"{path} is not there; install mejiro and mejiro-runtime")
    return path


def bundle_folder(options: argparse.Namespace) -> Path:
    """Return the bundle to measure: the one given, or Lite0's, made anew when the code changed."""
    if options.bundle is not None:
        return Path(options.bundle)
    folder = CACHE / "lite0"
    made = folder / "manifest.json"
    sources = [*ROOT.glob("toolkit/**/*.py"), *ROOT.glob("runtime/**/*.py")]
    if not made.is_file() or made.stat().st_mtime < max(p.stat().st_mtime for p in sources):
        print("making the bundle of EfficientNet-Lite0 in int8; this takes a minute")
        # In a process of its own: TensorFlow's threads and memory are not part of any figure.
        subprocess.run(
            [sys.executable, str(FOLDER / "programs" / "make_bundle.py"), str(folder)], check=True
        )
        made.touch()
    return folder


def photographs() -> list[NDArray[np.uint8]]:
    """Return real frames, (480, 640, 3) BGR: the photographs that Mejiro's dependencies ship."""
    import cv2

    from mejiro.data.samples import sample_pictures

    frames = []
    for picture in sample_pictures():
        height, width = picture.pixels.shape[:2]
        scale = max(FRAME_HEIGHT / height, FRAME_WIDTH / width)
        size = (max(FRAME_WIDTH, round(width * scale)), max(FRAME_HEIGHT, round(height * scale)))
        resized = cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA)
        top, left = (size[1] - FRAME_HEIGHT) // 2, (size[0] - FRAME_WIDTH) // 2
        frame = resized[top : top + FRAME_HEIGHT, left : left + FRAME_WIDTH]
        frames.append(np.ascontiguousarray(frame))
    return frames
