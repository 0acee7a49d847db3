"""Judge a fine-tuned network whose channels were pruned: what int8 loses, how much faster it is.

--run is a run of `mejiro train` on the pictures in --data, and --pruned what `mejiro prune` made of
it. Both networks are converted to int8 alike, scored through the runtime on the run's validation
pictures, and timed in turns.

    mejiro prune RUN --method channel --macs 0.42 --epochs 24 --rate 1e-3 --out DIR
    python benchmarks/narrow.py --data PICTURES --run RUN --pruned DIR [--out FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import harness
from magnitude import top1

from mejiro.model import Artifact
from mejiro.quality.gains import PRUNED, WHOLE, measure_gains
from mejiro.quality.lessons import read_calibration
from mejiro.race import Conditions, Ratio, compare_paces, race
from mejiro.zoo import open_model
from mejiro_runtime.fields import read_json

OPENINGS, ROUNDS = 8, 10
MOST_LOST, LEAST_FASTER = 1.0, 1.6


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="pictures in folders by class")
    parser.add_argument("--run", type=Path, required=True, help="a run of `mejiro train` on them")
    parser.add_argument("--pruned", type=Path, required=True, help="what `mejiro prune` made of it")
    parser.add_argument("--quick", action="store_true", help="few rounds; nothing is recorded")
    parser.add_argument("--out", type=Path, help="the file that keeps what was measured")
    return parser.parse_args()


def times_as_fast(name: str, time: Ratio | None, limit: float | None = None) -> harness.Ratio:
    if time is None:
        raise SystemExit("nothing was timed")
    speed = (1 / time.median, 1 / time.high, 1 / time.low)
    return harness.Ratio(f"times as fast, {name}", *speed, limit, lower_is_better=False)


def main() -> None:
    options = parse()
    openings = 1 if options.quick else OPENINGS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, pruned = open_model(str(options.run)), open_model(str(options.pruned))
        gains = measure_gains(
            model,
            pruned,
            folder,
            calibration=read_calibration(str(options.run), None),
            rounds=openings * ROUNDS,
        )
        file = f"{model.name}-int8.tflite"
        files = [Artifact.open(folder / which / file) for which in (WHOLE, PRUNED)]
        paces = race(files, Conditions(ROUNDS, openings=openings, threads=1))
        scores = top1(options.run, options.data, files, model)
    whole, narrow = scores["top1"]
    lost = whole - narrow
    harness.report(
        options,
        [
            harness.Ratio("int8: points of top-1 lost", lost, lost, lost, MOST_LOST),
            times_as_fast("int8, frame to label", gains["int8"].time, LEAST_FASTER),
            times_as_fast("int8, one thread", compare_paces(*reversed(paces))),
            times_as_fast("fp32, frame to label", gains["fp32"].time),
        ],
        settings={
            "data": options.data.resolve().name,
            "model": model.name,
            "image_size": model.input.height,
            "validation_pictures": scores["pictures"],
            "pruning": read_json(options.pruned / "pruning.json"),
            "training": pruned.lineage["finetuned"],
            "files": {which: gain.to_json() for which, gain in gains.items()},
        },
        rounds={"int8 top-1": {"whole": [whole], "pruned": [narrow]}},
    )


if __name__ == "__main__":
    main()
