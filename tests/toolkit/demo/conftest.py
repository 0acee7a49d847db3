"""Make a demonstration's results by hand, with figures that can be recognised in its reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mejiro.demo.agreement import Agreement
from mejiro.demo.device import Run
from mejiro.demo.environment import Environment
from mejiro.demo.results import ArtifactResult, DemoResult, SceneResult
from mejiro.demo.scenes import SCENES
from mejiro.model import Artifact, Evaluation
from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Label

MakeResult = Callable[..., DemoResult]

LABELS = (
    Label(0, "tabby, tabby cat", "n02123045"),
    Label(1, "espresso", "n07920052"),
    Label(2, "<b>thing</b> & more", ""),
)
DEVICE = {
    "board": None,
    "cpu": "Test CPU",
    "cpus": 2,
    "machine": "x86_64",
    "system": "Linux 6",
    "python": "3.11.7",
}


def distribution(p50_ns: int) -> dict[str, int]:
    return {
        "count": 200,
        "p50_ns": p50_ns,
        "p90_ns": p50_ns + 100_000,
        "p99_ns": p50_ns + 300_000,
        "max_ns": p50_ns + 900_000,
    }


def bench(infer_ns: int, **changes: Any) -> dict[str, Any]:
    return {
        "artifact": "x",
        "backend": {
            "name": "litert",
            "engine": "test-engine",
            "version": "9.8.7",
            "accelerator": "TEST",
            "threads": 2,
            "requested": "litert",
            "fallback": None,
        },
        "kernel": "opencv 5.0.0",
        "source": "synthetic 640x480",
        "device": DEVICE,
        "frames": 200,
        "frames_per_second": 1e9 / infer_ns,
        "load_ns": 42_000_000,
        "first_infer_ns": 5_000_000,
        "warmup_frames": 21,
        "steady": True,
        "stages": {
            "preprocess": distribution(210_000),
            "infer": distribution(infer_ns),
            "postprocess": distribution(60_000),
            "frame_to_label": distribution(infer_ns + 270_000),
        },
        "bare_engine": distribution(infer_ns - 50_000),
        "overhead": 1.1234,
        "peak_memory_bytes": 91_000_000,
        **changes,
    }


def artifact(folder: Path, format: Format, precision: Precision, size_bytes: int) -> Artifact:
    name = f"net-{precision.value}.{format.value}"
    card = ArtifactCard(
        file=name,
        format=format,
        precision=precision,
        input=InputSpec(224, 224),
        output=OutputSpec(),
        size_bytes=size_bytes,
        sha256="0" * 64,
        labels=LABELS,
    )
    return Artifact(folder / name, card)


def frame(index: int) -> dict[str, Any]:
    return {
        "name": f"video#{index}",
        "top": [{"index": index % 2, "label": LABELS[index % 2].name, "score": 0.5}],
        "preprocess_ns": 200_000,
        "infer_ns": 3_000_000 + 1_000 * index,
        "postprocess_ns": 60_000,
    }


def evaluation(top1: float) -> Evaluation:
    return Evaluation(
        data="my pictures",
        pictures=200,
        top1=top1,
        top5=0.975,
        backend={},
        kernel="opencv",
        against="net-fp32.tflite",
        agreement=0.965,
        unreadable=("broken.jpg",),
    )


def scenes(frames: int) -> tuple[SceneResult, ...]:
    top = ({"index": 0, "label": LABELS[0].name, "score": 0.75},
           {"index": 2, "label": LABELS[2].name, "score": 0.125})  # fmt: skip
    seen = Counter({0: frames - 1, 2: 1})
    return tuple(
        SceneResult(
            scene=scene,
            accepted=scene.accepted(LABELS),
            top=top,
            frames=frames,
            seen=seen,
            names={label.index: label.short for label in LABELS},
        )
        for scene in SCENES
    )


@pytest.fixture
def make_result(tmp_path: Path) -> MakeResult:
    """Return a function that makes a result, scored on labelled pictures or not."""

    def make(
        *, scored: bool = False, own: bool = True, changes: dict[str, Any] | None = None
    ) -> DemoResult:
        run = Run(frames=tuple(frame(index) for index in range(40)), summary={"frames": 40})
        agreement = Agreement("net-fp32.tflite", photographs=8, views=96, first=95, in_top=96)
        results = [
            ArtifactResult(
                artifact=artifact(tmp_path, format, Precision.INT8, 5_273_712),
                bench=bench(3_000_000, **(changes or {})),
                evaluation=evaluation(0.885) if scored else None,
                agreement=None if scored else agreement,
                verification={
                    "passed": True,
                    "frames": 8,
                    "largest_output": 0.0,
                    "tolerance": 0.0078,
                },
                video=run,
            )
            for format in (Format.TFLITE, Format.ONNX)
        ]
        reference = ArtifactResult(
            artifact=artifact(tmp_path, Format.TFLITE, Precision.FP32, 18_564_332),
            bench=bench(9_000_000),
            evaluation=evaluation(0.89) if scored else None,
        )
        packages = {"numpy": "2.4.6", "mejiro-runtime": "0.1.0"}
        environment = Environment(Path("python"), own=False)
        if own:
            environment = Environment(Path("python"), True, "uv", packages, 350_000_000)
        return DemoResult(
            model="net",
            weights="ImageNet weights from a test",
            calibration="The default calibration set is small.",
            data="my pictures" if scored else None,
            artifacts=tuple(results),
            reference=reference,
            scenes=scenes(4),
            environment=environment,
            bundle_bytes=14_000_000,
            elapsed_ns={"convert": 30_000_000_000, "make a video": 1_500_000_000},
        )

    return make
