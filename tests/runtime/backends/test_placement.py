"""Where nodes run is read from ONNX Runtime itself, old or new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mejiro_runtime.backends import onnxruntime
from mejiro_runtime.backends.placement import Placement, Watch, read_profile

GPU, CPU = "TensorrtExecutionProvider", "CPUExecutionProvider"


def event(provider: str, kind: str, index: int | None, *, cat: str = "Node") -> dict[str, Any]:
    told: dict[str, Any] = {"provider": provider, "op_name": kind}
    if index is not None:
        told["node_index"] = str(index)
    return {"cat": cat, "name": f"{kind}_kernel_time", "args": told}


def test_a_profile_counts_each_node_once() -> None:
    events = [
        {"cat": "Session", "name": "model_loading_uri", "args": {}},
        {"cat": "Session", "name": "initialization"},
        event(GPU, "TRTKernel", 3),
        event(GPU, "TRTKernel", 3),
        event(CPU, "Shape", 4),
        event(CPU, "Cast", 5),
        event(CPU, "Cast", 6, cat="Session"),
    ]
    placement = read_profile(json.dumps(events))
    assert placement.nodes == {GPU: 1, CPU: 2}
    assert placement.operators == {GPU: ("TRTKernel",), CPU: ("Cast", "Shape")}
    assert placement.in_words(CPU) == "2 of 3 nodes (Cast, Shape)"
    assert placement.on("CUDAExecutionProvider") == 0


def test_many_kinds_are_shortened() -> None:
    placement = Placement({CPU: 9}, {CPU: tuple("ABCDEFGHI")})
    assert placement.in_words(CPU) == "9 of 9 nodes (A, B, C, D, E, F, …)"
    assert Placement({}, {}).in_words(CPU) == "0 of 0 nodes"


@pytest.mark.parametrize("old", [False, True])
def test_the_real_engine_tells_where_its_nodes_run(
    model_fixtures: Path, monkeypatch, tmp_path: Path, old: bool
) -> None:
    if not onnxruntime.installed():
        pytest.skip("no engine for .onnx files is installed here")
    import numpy as np
    import onnxruntime as ort

    name = "get_provider_graph_assignment_info"
    for owner in ort.InferenceSession.__mro__ if old else ():
        if name in vars(owner):  # without the newer function, as before 1.24
            monkeypatch.delattr(owner, name)
    tells = hasattr(ort.InferenceSession, name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    options = ort.SessionOptions()
    path = str(model_fixtures / "models" / "colours-int8.onnx")
    ran = []
    with Watch(ort, options) as watch:
        session = ort.InferenceSession(path, options, providers=[CPU])

        def run_once() -> None:
            name = session.get_inputs()[0].name
            ran.append(session.run(None, {name: np.zeros((1, 32, 32, 3), np.uint8)}))

        placement = watch.read(session, run_once)
    assert set(placement.nodes) == {CPU}
    assert placement.total > 3
    assert "Softmax" in placement.operators[CPU]
    assert not list(tmp_path.iterdir())
    assert len(ran) == (0 if tells else 1)
