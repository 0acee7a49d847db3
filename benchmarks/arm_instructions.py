"""Count the AArch64 instructions of a frame on the CPUs of a Raspberry Pi 3, 4 and 5.

QEMU executes the very programs of a Pi (Debian's Python, the wheels for arm64) as each CPU would
choose them, and a plugin counts: medians are the same from run to run to a part in 10,000, on any
machine. It is no time: caches, memory and how many instructions a CPU does at once are not in it.
One thread. Counted are, for photographs of 640x480,

* whole frame: the pipeline of `mejiro-run run` and `bench`, BGR pixels in, label out;
* preprocess: crop, resize and reorder alone;
* engine: `invoke` of the very same engine, on the tensor that it holds;

of EfficientNet-Lite0 in int8 on LiteRT and on ONNX Runtime, and the engine alone for MobileNetV2 as
Mejiro exports it and as `--google` has it. The raw answers to the frames are compared as well.

Needs root, and the programs that tests/emulation names.

    python benchmarks/arm_instructions.py [--google FILE] [--quick] [--bundle DIR] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import numpy as np
from numpy.typing import NDArray
from programs.count_worker import STAGES

sys.path.insert(0, str(harness.ROOT))

from tests.emulation.boards import BOARDS
from tests.emulation.counting import Mark, count_instructions
from tests.emulation.inside import written
from tests.emulation.packages import RUNTIME, SITE, SOURCES, make_site, python_path
from tests.emulation.root import cache_folder, make_root, python_of

FRAMES, QUICK_FRAMES = 6, 2
WORKER = harness.FOLDER / "programs" / "count_worker.py"
MODELS = harness.CACHE / "arm"
LITERT, ONNX = "efficientnet-lite0-int8.tflite", "efficientnet-lite0-int8.onnx"
OURS, GOOGLE = "mobilenet-v2-int8.tflite", "google.tflite"
PI5 = "pi5"

# File -> stage -> the count for each frame.
Counts = dict[str, dict[str, list[int]]]
Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Run:
    """Hold what the worker did on one machine; `counts` is empty where nothing counts."""

    counts: Counts
    outputs: Outputs
    engines: dict[str, str]


def counts_of(marks: Sequence[Mark], files: Sequence[str]) -> Counts:
    """Sort the marks by file and stage, less what marking itself costs."""
    stages = {number: stage for stage, number in STAGES.items()}
    found: Counts = {file: {} for file in files}
    cost = 0
    for mark in marks:
        place, number = divmod(mark.number, 100)
        stage = stages[number]
        if stage == "mark":
            cost = mark.instructions
        elif stage != "nothing counted":
            found[files[place]].setdefault(stage, []).append(mark.instructions - cost)
    return found


def read_run(folder: Path, marks: Sequence[Mark] = ()) -> Run:
    """Read what the worker wrote to a folder."""
    names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    files = [name["file"] for name in names]
    with np.load(folder / "out.npz", allow_pickle=False) as members:
        outputs = {file: members[f"arr_{place}"] for place, file in enumerate(files)}
    return Run(
        counts_of(marks, files) if marks else {},
        outputs,
        {name["file"]: name["engine"] for name in names},
    )


def run_on(board: str, lent: Mapping[str, Path], given: Sequence[str]) -> Run:
    """Run the worker on a board."""
    cache = cache_folder()
    base = make_root(cache)
    site = make_site(cache, python_of(base))
    binds = {**lent, SITE: site, SOURCES: RUNTIME, "/opt/worker": WORKER.parent}
    worker = ["/usr/bin/python3", f"/opt/worker/{WORKER.name}", "/opt/out.npz", *given]
    with tempfile.TemporaryDirectory(dir=cache, prefix="counting.") as name:
        marks = count_instructions(
            worker,
            board=board,
            cache=cache,
            state=Path(name),
            binds=binds,
            environment={"PYTHONPATH": python_path(), "MEJIRO_CACHE": "/opt/cache"},
        )
        return read_run(written(Path(name)) / "opt", marks)


def run_here(lent: Mapping[str, Path], given: Sequence[str]) -> Run:
    """Run the worker on this machine, where nothing is counted."""
    local = []
    for word in given:
        place = next(place for place in lent if word == place or word.startswith(place + "/"))
        local.append(str(lent[place]) + word[len(place) :])
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, str(WORKER), f"{name}/out.npz", *local]
        subprocess.run(command, check=True)
        return read_run(Path(name))


def largest_step(here: NDArray[Any], there: NDArray[Any]) -> int:
    """Return by how many steps of the quantized output two answers differ at most.

    Where the softmax is computed in float, its logarithm is the quantized logits but for a
    constant: they are whole steps, which the differences between classes show.
    """
    if np.issubdtype(here.dtype, np.integer):
        return int(np.abs(here.astype(int) - there.astype(int)).max())
    most = 0
    for a, b in zip(here.reshape(len(here), -1), there.reshape(len(there), -1), strict=True):
        log_a, log_b = np.log(a.astype(np.float64)), np.log(b.astype(np.float64))
        gaps = np.diff(np.unique(np.round(log_a, 4)))
        difference = log_a - log_b
        steps = (difference - np.median(difference)) / gaps[gaps > 1e-3].min()
        most = max(most, int(np.abs(np.rint(steps)).max()))
    return most


def share_identical(runs: Sequence[Run], file: str) -> float:
    """Return the share of a file's answers that are the same to the bit in all runs."""
    first, *others = (run.outputs[file] for run in runs)
    same = np.all([first == other for other in others], axis=0)
    return float(np.mean(same))


def ratios_of(runs: Mapping[str, Run], here: Run) -> list[harness.Ratio]:
    found = []
    for board, run in runs.items():
        cpu = BOARDS[board].cpu
        for file, engine in ((LITERT, "LiteRT"), (ONNX, "ONNX Runtime")):
            stages = run.counts[file]
            limit = 1.10 if board == PI5 and file == LITERT else None
            name = f"{cpu}, Lite0, {engine}: whole frame / engine"
            found.append(harness.ratio(name, stages["whole frame"], stages["engine"], limit=limit))
        if GOOGLE in run.counts:
            ours, theirs = (run.counts[file]["engine"] for file in (OURS, GOOGLE))
            limit = None if board == "pi3" else 1.0
            name = f"{cpu}, MobileNetV2: Mejiro's file / Google's"
            found.append(harness.ratio(name, ours, theirs, limit=limit))
    for file, engine in ((LITERT, "LiteRT"), (ONNX, "ONNX Runtime")):
        share = share_identical(list(runs.values()), file)
        name = f"{engine}: share of answers identical on {len(runs)} CPUs"
        found.append(harness.ratio(name, [share], [1.0], limit=1.0, lower_is_better=False))
        steps = largest_step(here.outputs[file], runs[PI5].outputs[file])
        limit = 1.0 if file == LITERT else None
        name = f"{engine}: steps from x86 at most"
        found.append(harness.ratio(name, [float(steps)], [1.0], limit=limit))
    return found


def repeatability(one: Run, other: Run) -> float:
    """Return by what share the median of the same counts differs between two runs at most."""
    return max(
        abs(float(np.median(counts) / np.median(other.counts[file][stage])) - 1)
        for file, stages in one.counts.items()
        for stage, counts in stages.items()
    )


def models_folder() -> Path:
    """Return the further models, made anew when the code changed."""
    made = MODELS / OURS
    sources = [*harness.ROOT.glob("toolkit/**/*.py"), *harness.ROOT.glob("runtime/**/*.py")]
    if not made.is_file() or made.stat().st_mtime < max(p.stat().st_mtime for p in sources):
        print("exporting MobileNetV2 and Lite0 for ONNX Runtime; this takes a minute")
        script = harness.FOLDER / "programs" / "make_arm_models.py"
        subprocess.run([sys.executable, str(script), str(MODELS)], check=True)
        made.touch()
    return MODELS


def lend(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Path], list[str]]:
    """Return what the boards see, by place, and what the worker is given of it."""
    count = QUICK_FRAMES if options.quick else FRAMES
    frames = harness.photographs()[:count]
    named: dict[str, Any] = {f"{index:02d}": frame for index, frame in enumerate(frames)}
    np.savez(folder / "frames.npz", **named)
    lent = {
        "/opt/given": folder,
        "/opt/bundle": harness.bundle_folder(options),
        "/opt/models": models_folder(),
    }
    given = ["/opt/given/frames.npz", "/opt/bundle", f"/opt/models/{OURS}"]
    if options.google is not None:
        shutil.copyfile(options.google, folder / GOOGLE)
        given.append(f"/opt/given/{GOOGLE}")
    # ONNX Runtime keeps a thread that wakes now and then, and is counted with whatever runs.
    return lent, [*given, "/opt/models/lite0-onnx"]


def qemu_version() -> str:
    said = subprocess.run(["qemu-aarch64", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--google", type=Path, help="tf2_mobilenet_v2_1.0_224_ptq.tflite")
    parser.add_argument("--quick", action="store_true", help="few frames; nothing is recorded")
    parser.add_argument("--bundle", type=Path, help="default: EfficientNet-Lite0 int8")
    parser.add_argument("--out", type=Path, help="the file that keeps what was measured")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    notes = ["MobileNetV2 has random weights: the zoo has no others, and counts follow from shapes"]
    if options.google is None:
        notes.append("without --google there is nothing to compare MobileNetV2 with")
    with tempfile.TemporaryDirectory() as name:
        lent, given = lend(Path(name), options)
        here = run_here(lent, given)
        runs = {}
        for board in BOARDS:
            print(f"counting on {BOARDS[board].cpu}")
            runs[board] = run_on(board, lent, given)
        again = repeatability(runs[PI5], run_on(PI5, lent, given))
    notes.append(f"a second run on {BOARDS[PI5].cpu} gave the same medians to {again:.0e}")
    rounds = {BOARDS[board].cpu: run.counts for board, run in runs.items()}
    settings = {
        "engines": runs[PI5].engines,
        "frames": f"{len(next(iter(here.outputs.values())))} photographs, 640x480, BGR",
        "threads": 1,
        "emulator": qemu_version(),
    }
    harness.report(options, ratios_of(runs, here), settings=settings, rounds=rounds, notes=notes)


if __name__ == "__main__":
    main()
