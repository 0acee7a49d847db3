"""Give the runtime's tests what devices have: a bundle, and engines, real ones and a simulated one.

These tests run wherever the runtime does, against whatever is installed there, so they import
neither the host's packages nor an engine. Tests that need real model files take them from the
folder `model_fixtures` (see `tests/model_fixtures.py`). All else runs on a bundle made here by
hand, of a simulated engine whose answers can be worked out in the head.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import mejiro_runtime
from mejiro_runtime import opencv
from mejiro_runtime.__main__ import main
from mejiro_runtime.backends import BACKENDS, BackendInfo, BackendRow, TensorInfo
from mejiro_runtime.backends.probe import Verdict
from mejiro_runtime.bundle import Bundle, labels_text, open_bundle
from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.golden import array_name
from mejiro_runtime.kernels import NumpyKernel
from mejiro_runtime.manifest import (
    FileEntry,
    Golden,
    GoldenOutputs,
    Manifest,
    Tolerance,
)
from mejiro_runtime.preprocess import InputSpec, Preprocessor
from mejiro_runtime.types import Frame, Label, PixelOrder

SIDE = 8
LABELS = (Label(0, "red, crimson", "n01"), Label(1, "vert clair"), Label(2, "目白", "n03"))
SPEC = InputSpec(SIDE, SIDE, crop_fraction=0.9)
BGR = {"red": (20, 30, 220), "green": (30, 200, 20), "blue": (230, 60, 20)}


@pytest.fixture(scope="session")
def shared_engine_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for verdicts on engines that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    return base / "engine-cache"


@pytest.fixture(autouse=True)
def engine_cache(shared_engine_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the verdicts on engines out of the user's own cache."""
    monkeypatch.setenv("MEJIRO_CACHE", str(shared_engine_cache))


@pytest.fixture(scope="session")
def cv2() -> Any:
    """Return OpenCV as the runtime loads it, or skip on a device without it."""
    if not opencv.available():
        pytest.skip("OpenCV is not installed here")
    module = opencv.load("testing")
    # Another test may have imported it before the runtime could tell it to be quiet.
    set_level = getattr(module, "setLogLevel", None) or module.utils.logging.setLogLevel
    set_level(0)
    return module


def real_engines() -> dict[Format, str]:
    """Return the formats that some engine installed here runs, and its backend's name."""
    # TensorFlow's own interpreter counts only once imported, so it is no part of this.
    return {row.format: name for name, row in BACKENDS.items() if row.load().installed()}


@pytest.fixture(params=list(Format), ids=lambda format: format.value)
def real_format(request: pytest.FixtureRequest) -> Format:
    """Return each format in turn, skipped where no engine for it is installed."""
    if request.param not in real_engines():
        pytest.skip(f"no engine for .{request.param.value} files is installed here")
    format: Format = request.param
    return format


@pytest.fixture(scope="session")
def real_bundle(model_fixtures: Path) -> Path:
    """Return a bundle that the toolkit wrote; skipped where no engine is installed."""
    if not real_engines():
        pytest.skip("no engine is installed here")
    return model_fixtures / "bundle"


class ColourBackend:
    """Simulate an engine: the probability of a colour is its share of the tensor's sum."""

    def __init__(self, request: Any = None, *, spec: InputSpec = SPEC, classes: int = 3) -> None:
        self.inputs = (TensorInfo("pixels", spec.shape, spec.dtype.value),)
        self.outputs = (TensorInfo("scores", (1, classes), "float32"),)
        self._memory = np.zeros(spec.shape, dtype=spec.dtype.value)
        name = request.name if request else "litert"
        self.info = BackendInfo(
            name=name,
            engine="simulated",
            version="1.0",
            accelerator="plain numpy",
            threads=request.threads if request else 1,
            requested=str(request or name),
        )
        self.answer: Callable[[Any], Any] = self.shares
        self.calls = 0
        self.closed = 0

    @staticmethod
    def shares(tensor: Any) -> Any:
        """Return float32 (1, 3): integers are added exactly, so every machine agrees."""
        sums = tensor.reshape(-1, 3).astype(np.int64).sum(axis=0)
        return (sums / max(1, int(sums.sum()))).astype(np.float32)[None]

    def infer(self, *tensors: Any) -> tuple[Any, ...]:
        (self._memory,) = tensors
        return self.run()

    def borrow_input(self) -> Any:
        return self._memory

    def run(self, count: int = 1) -> tuple[Any, ...]:
        self.calls += 1
        return (self.answer(self._memory),)

    def invoke(self) -> None:
        self.calls += 1

    def close(self) -> None:
        self.closed += 1


def plain_frame(colour: str, *, size: tuple[int, int] = (30, 40), index: int = 0) -> Frame:
    """Return a BGR frame (height, width) of one colour with noise."""
    rng = np.random.default_rng(index)
    noise = rng.integers(0, 20, (*size, 3), dtype=np.uint8)
    pixels = np.array(BGR[colour], dtype=np.uint8) + noise
    return Frame(pixels, PixelOrder.BGR, index, captured_ns=0, capture_ns=0, name=colour)


def simulated_card(name: str = "colours.tflite", data: bytes = b"simulated") -> ArtifactCard:
    """Return the card of a file that the simulated engine runs."""
    return ArtifactCard(
        file=name,
        format=Format(name.rpartition(".")[2]),
        precision=Precision.INT8,
        input=SPEC,
        output=OutputSpec(),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        labels=LABELS,
    )


class Handmade:
    """Write bundles of the simulated engine, and seal them again after a change."""

    spec, labels, bgr = SPEC, LABELS, BGR
    backend = ColourBackend
    frame = staticmethod(plain_frame)
    card = staticmethod(simulated_card)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str = "bundle", *, files: tuple[str, ...] = ("colours.tflite",)) -> Path:
        """Write a bundle with three golden frames, and return its folder."""
        folder = self.folder / name
        for inner in ("models", "golden"):
            (folder / inner).mkdir(parents=True)
        frames = [plain_frame(colour, index=i) for i, colour in enumerate(BGR)]
        preprocessor = Preprocessor(SPEC, kernel=NumpyKernel())
        inputs = [preprocessor(frame.pixels, frame.order) for frame in frames]
        self.save(folder / "golden/frames.npz", [frame.pixels for frame in frames])
        self.save(folder / "golden/inputs.npz", inputs)
        outputs = [ColourBackend.shares(tensor)[0] for tensor in inputs]
        self.save(folder / "golden/outputs.npz", outputs)
        (folder / "labels.txt").write_text(labels_text(LABELS), encoding="utf-8")
        for file in files:
            (folder / "models" / file).write_bytes(b"simulated")
        expected = [
            GoldenOutputs(
                artifact=file,
                inputs="golden/inputs.npz",
                outputs="golden/outputs.npz",
                made_with={"engine": "simulated"},
                tolerances=(Tolerance("*", "*", 0.01, "chosen by hand"),),
            )
            for file in files
        ]
        manifest = Manifest(
            name=name,
            made_by="hand",
            artifacts=tuple(simulated_card(file) for file in files),
            labels="labels.txt",
            golden=Golden("golden/frames.npz", len(frames), tuple(expected)),
            runtime={"version": mejiro_runtime.__version__},
            target="any",
            files=self._entries(folder),
        )
        self._publish(folder, manifest.to_json())
        return folder

    def open(self, **options: Any) -> Bundle:
        """Write a bundle and open it."""
        return open_bundle(self.write(**options))

    @staticmethod
    def save(path: Path, arrays: list[Any]) -> None:
        """Write golden arrays as a bundle holds them."""
        np.savez(path, **{array_name(i): array for i, array in enumerate(arrays)})

    @staticmethod
    def _entries(folder: Path) -> dict[str, FileEntry]:
        return {
            path.relative_to(folder).as_posix(): FileEntry(path.stat().st_size, sha256_of(path))
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in ("manifest.json", "SHA256SUMS")
        }

    @staticmethod
    def _publish(folder: Path, value: dict[str, Any]) -> None:
        write_json(folder / "manifest.json", value)
        lines = {path: entry["sha256"] for path, entry in value["files"].items()}
        lines["manifest.json"] = sha256_of(folder / "manifest.json")
        text = "".join(f"{digest}  {path}\n" for path, digest in sorted(lines.items()))
        (folder / "SHA256SUMS").write_text(text, encoding="utf-8", newline="")

    def seal(self, folder: Path, change: Callable[[dict[str, Any]], Any] = lambda _: None) -> None:
        """Write manifest and checksums anew for what `folder` holds, as a forger would.

        `change` may alter the manifest's JSON before it is written.
        """
        value = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        entries = self._entries(folder)
        value["files"] = {k: {"size_bytes": v.size_bytes, "sha256": v.sha256}
                          for k, v in entries.items()}  # fmt: skip
        for card in value["artifacts"]:
            entry = entries.get(f"models/{card['file']}")
            if entry is not None:
                card.update(size_bytes=entry.size_bytes, sha256=entry.sha256)
        change(value)
        self._publish(folder, value)


@pytest.fixture(scope="session")
def handmade_class() -> type[Handmade]:
    """Return the class, for fixtures that serve a whole module."""
    return Handmade


@pytest.fixture
def handmade(tmp_path: Path) -> Handmade:
    """Return what writes bundles for the simulated engine."""
    return Handmade(tmp_path)


@pytest.fixture
def simulated_engine_module(monkeypatch: pytest.MonkeyPatch) -> list[ColourBackend]:
    """Put the simulated engine in the place of both backends; return the list of those opened."""
    opened: list[ColourBackend] = []

    def open_file(path: Path, request: Any) -> ColourBackend:
        opened.append(ColourBackend(request))
        return opened[-1]

    module = ModuleType("simulated_engine")
    vars(module).update(
        installed=lambda: ("simulated",),
        version_of=lambda engine: "1.0",
        choose=lambda request: ("simulated", None),
        open_file=open_file,
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, row in BACKENDS.items():
        monkeypatch.setitem(BACKENDS, name, BackendRow(row.format, module.__name__))
    return opened


@pytest.fixture
def simulated_engine(
    simulated_engine_module: list[ColourBackend], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[ColourBackend]]:
    """Give the simulated engine a good verdict too, and see that all opened are closed."""
    monkeypatch.setattr(
        "mejiro_runtime.backends.probe.probe",
        lambda path, request, engine, version, precision: Verdict(engine, version, works=True),
    )
    yield simulated_engine_module
    left_open = [backend for backend in simulated_engine_module if not backend.closed]
    assert not left_open


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Return a function that copies a folder to where a test may change it."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / f"copy-of-{folder.name}"))

    return copy


@pytest.fixture
def bundle(handmade: Handmade, simulated_engine: list[ColourBackend]) -> str:
    """Return a bundle that the simulated engine runs."""
    return str(handmade.write(files=("colours.tflite", "colours.onnx")))


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line and gives its code and both outputs."""

    def say(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return say


@pytest.fixture
def quick_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tuning measure as little as can be."""
    monkeypatch.setattr("mejiro_runtime.turns.SETTLE_NS", 0)
    for name, value in (("OPENINGS", 2), ("ROUNDS", 2), ("TRY_FRAMES", 3)):
        monkeypatch.setattr(f"mejiro_runtime.tune.{name}", value)
