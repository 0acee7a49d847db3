"""Run a stranger's file once, in a process of its own, before it is believed.

A file that makes its engine crash, or never end, does so in the child; here it becomes one line.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mejiro.child import child_command
from mejiro_runtime.backends import BACKENDS, backend_for, open_backend, parse_request
from mejiro_runtime.card import Format
from mejiro_runtime.errors import BackendError, MejiroError, ModelError, SpecError
from mejiro_runtime.fields import Fields, parse_json
from mejiro_runtime.preprocess import InputSpec, TensorInfo, preprocess
from mejiro_runtime.types import PixelOrder

TIMEOUT_S = 300


class TriedOutput(NamedTuple):
    """Hold what one output gave: its range over all frames, in real numbers.

    `whole` says that every value is a whole number.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    lowest: float
    highest: float
    whole: bool


@dataclass(frozen=True)
class Trial:
    """Hold what a file gave on the trial's frames.

    `shape` and `dtype` are the first output's; `sums` has one sum of all its scores for each
    frame, and `lowest` is the least of them all; both are in real numbers. `engine` is what ran
    it, and `outputs` are all that it gave.
    """

    shape: tuple[int, ...]
    dtype: str
    sums: tuple[float, ...]
    lowest: float
    engine: str
    outputs: tuple[TriedOutput, ...] = ()


def try_model(
    path: Path,
    format: Format,
    spec: InputSpec,
    *,
    name: str,
    picture: int = 0,
    state: Sequence[str] = (),
) -> Trial:
    """Run the file `path` on a few frames in a child process; `name` stands for it in messages.

    The frames go into the input at the place `picture`, zeros into all others; the outputs called
    as in `state` are left out of what is told.

    Raises ModelError if its engine refuses it, crashes, or takes longer than `TIMEOUT_S`, or if
    its scores are not finite, and MissingPackage or BackendError if there is no engine.
    """
    request = parse_request(None, format, threads=1)
    BACKENDS[backend_for(format)].load().choose(request)  # a missing engine is said at once
    task: dict[str, Any] = {"path": str(path), "format": format.value, "input": spec.to_json()}
    task |= {"picture": picture, "state": list(state)}
    try:
        done = subprocess.run(
            child_command("mejiro.export.adopt.trial"),
            input=json.dumps(task).encode(),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{name} gave no scores in {TIMEOUT_S} s; it cannot be adopted") from None
    except OSError as error:
        raise BackendError(f"{name} could not be tried: {error.strerror or error}") from None
    return _read(done, path, name)


def _read(done: subprocess.CompletedProcess[bytes], path: Path, name: str) -> Trial:
    """Return what the child wrote, or raise what it met."""
    # 132 and 139 are how a shell, or an emulator, reports signals 4 and 11.
    number = -done.returncode if done.returncode < 0 else done.returncode - 128
    if number in set(signal.Signals):
        raise ModelError(
            f"{name} makes its engine crash ({signal.Signals(number).name}); it cannot be adopted"
        )
    try:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        fields = Fields(parse_json(lines[-1] if lines else "", "trial"), "trial")
        if error := fields.text("error", ""):
            kind = ModelError if fields.text("kind") == "model" else BackendError
            raise kind(error.replace(str(path), name))
        trial = Trial(
            shape=tuple(int(size) for size in fields.numbers("shape")),
            dtype=fields.text("dtype"),
            sums=fields.numbers("sums"),
            lowest=fields.number("lowest"),
            engine=fields.text("engine"),
            outputs=tuple(_tried(entry) for entry in fields.items("outputs", [])),
        )
        fields.finish()
    except SpecError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ModelError(
            f"{name} could not be tried: {last[-1] if last else 'the trial ended without a word'}"
        ) from None
    return trial


def _tried(entry: Any) -> TriedOutput:
    fields = Fields(entry, "trial output")
    tried = TriedOutput(
        name=fields.text("name"),
        shape=tuple(int(size) for size in fields.numbers("shape")),
        dtype=fields.text("dtype"),
        lowest=fields.number("lowest"),
        highest=fields.number("highest"),
        whole=fields.flag("whole"),
    )
    fields.finish()
    return tried


def _frames(spec: InputSpec) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Return a grey frame, a ramp from black to white, and noise: RGB, of the tensor's size."""
    shape = (spec.height, spec.width, 3)
    grey = np.full(shape, 127, dtype=np.uint8)
    ramp = np.linspace(0, 255, spec.width).astype(np.uint8)[None, :, None]
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return [grey, np.ascontiguousarray(np.broadcast_to(ramp, shape)), noise]


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Run the trial that `task` describes: the child's whole life. Raises as the runtime does."""
    spec, format = InputSpec.from_json(task["input"]), Format(task["format"])
    backend = open_backend(Path(task["path"]), parse_request(None, format, threads=1))
    given = backend.inputs[task["picture"]]
    if given.shape != spec.shape or given.dtype != spec.dtype.value:
        raise ModelError(
            f"{task['path']} takes {given.dtype} {list(given.shape)} once it is loaded, and says "
            f"{spec.dtype.value} {list(spec.shape)}; export it again"
        )
    tensors = [np.zeros([max(1, n) for n in i.shape], i.dtype) for i in backend.inputs]
    told = [info for info in backend.outputs if info.name not in task["state"]]
    if not told:
        raise ModelError(f"{task['path']} gives nothing but its state; it cannot be adopted")
    sums: list[float] = []
    outputs: list[list[Any]] = []
    raw: tuple[Any, ...] = ()
    for frame in _frames(spec):
        tensors[task["picture"]] = preprocess(frame, PixelOrder.RGB, spec)
        every = backend.infer(*tensors)
        raw = tuple(every[backend.outputs.index(info)] for info in told)
        values = [_real(one, info, task) for one, info in zip(raw, told, strict=True)]
        sums.append(float(values[0].sum()))
        outputs.append(values)
    return {
        "shape": list(raw[0].shape),
        "dtype": raw[0].dtype.name,
        "sums": sums,
        "lowest": min(float(values[0].min()) for values in outputs),
        "engine": str(backend.info),
        "outputs": [
            _described(told[place].name, raw[place], [each[place] for each in outputs])
            for place in range(len(raw))
        ],
    }


def _real(output: Any, info: TensorInfo, task: dict[str, Any]) -> Any:
    """Return an output in real numbers, float64; raises ModelError if one is not finite."""
    values = output.astype(np.float64)
    if output.dtype.kind in "iu" and info.quantization is not None:
        values = (values - info.quantization.zero_point) * info.quantization.scale
    if not values.size or not np.isfinite(values).all():
        raise ModelError(f"{task['path']} gives scores that are not finite; export it again")
    return values


def _described(name: str, raw: Any, values: list[Any]) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(raw.shape),
        "dtype": raw.dtype.name,
        "lowest": min(float(one.min()) for one in values),
        "highest": max(float(one.max()) for one in values),
        "whole": all(bool((one % 1 == 0).all()) for one in values),
    }


def main() -> int:
    """Read a task from standard input, and write what came of it to standard output."""
    task = json.load(sys.stdin)
    try:
        answer = run(task)
    except ModelError as error:
        answer = {"error": str(error), "kind": "model"}
    except MejiroError as error:
        answer = {"error": str(error), "kind": "engine"}
    except Exception as error:  # noqa: BLE001 - engines raise what they like at a stranger's file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        answer = {"error": f"{task['path']} cannot be run: {reason}", "kind": "model"}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 0
