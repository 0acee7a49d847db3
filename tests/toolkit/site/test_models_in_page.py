"""Every kind of model gives in Chromium what the runtime gives, and its golden frames pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.model import Artifact
from mejiro.site import open_site, write_site
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import ArtifactCard, card_path
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.golden import read_arrays
from mejiro_runtime.model import open_model
from mejiro_runtime.preprocess import Quantization, TensorType
from mejiro_runtime.types import Frame, PixelOrder
from tests.browser.asking import ask, blank_page, picture

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]

TinySites = Callable[[str], tuple[Path, str]]
SEE = """
const verification = await model.verify();
const seen = [];
for (const one of argument) seen.push(await model.run(pictureOf(one), {top: 3}));
for (const one of seen) if (one.mask) one.mask.classes = Array.from(one.mask.classes);
return {info: model.info, verification, seen};
"""


def frames_of(bundle: Path) -> list[np.ndarray]:
    golden = open_bundle(bundle).manifest.golden
    return read_arrays(bundle / golden.frames, golden.count)


def as_json(result: Any) -> dict[str, Any]:
    """Return what the runtime sees, as the page says it."""
    boxes, mask = result.boxes, result.mask
    return {
        "top": [
            {"index": c.label.index, "name": c.label.name, "score": c.score} for c in result.top
        ],
        "boxes": boxes
        and [
            {"index": b.label.index, "name": b.label.name, "score": b.score, "box": list(b.box)}
            for b in boxes
        ],
        "mask": mask
        and {
            "classes": mask.classes.reshape(-1).tolist(),
            "width": mask.classes.shape[1],
            "height": mask.classes.shape[0],
            "box": list(mask.box),
            "shares": [
                {"index": label.index, "name": label.name, "share": share}
                for label, share in mask.shares
            ],
        },
    }


def numbers_of(value: Any) -> Any:
    """Return a structure with its numbers made comparable but for the last float32 bits."""
    if isinstance(value, dict):
        return {key: numbers_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbers_of(inner) for inner in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


@pytest.mark.parametrize(
    ("name", "index"),
    [("bundle", 0), ("bundle", 1), ("detection", 0), ("detection", 1), ("segmentation", 0)],
)
def test_a_page_sees_what_the_runtime_sees(
    chromium: Any, tiny_sites: TinySites, model_fixtures: Path, name: str, index: int
) -> None:
    folder, url = tiny_sites(name)
    site = open_site(folder)
    bundle = open_bundle(model_fixtures / name)
    frames = frames_of(model_fixtures / name)[:3]
    with blank_page(chromium, url) as page:
        told = ask(page, SEE, index=index, argument=[picture(one) for one in frames])
    assert told.get("error") is None
    assert told["verification"]["passed"], told["verification"]
    # Float arithmetic differs in its last bits; a tensor of uint8 in none.
    assert told["verification"]["largest_output"] < 1e-6
    assert told["info"]["engine"] == "litert.js"
    assert told["info"]["variant"] == "relaxed-simd"
    assert told["info"]["threads"] == 1
    assert told["info"]["fallback"] is None
    card = bundle.card(site.models[index].card.file)
    with open_model(bundle.model_path(card), card, threads=1, top=3) as model:
        for number, (pixels, seen) in enumerate(zip(frames, told["seen"], strict=True)):
            result = model(Frame(pixels, PixelOrder.BGR, number, captured_ns=0, capture_ns=0))
            assert {key: seen[key] for key in ("top", "boxes", "mask")} == numbers_of(
                as_json(result)
            )
            assert (seen["height"], seen["width"]) == pixels.shape[:2]
            assert set(seen["timing"]) == {
                "capture_ns", "preprocess_ns", "infer_ns", "postprocess_ns", "frame_to_label_ns",
            }  # fmt: skip


def int8_ended(source: Path, folder: Path) -> Artifact:
    """Write the classifier with uint8 at its ends as one with int8 there: the inner tensors."""
    from mejiro.export.ends import EndsFile

    file = EndsFile(source.read_bytes())
    graph = file._graph
    names = [operator.name for operator in file.operators]
    assert (names[0], names[-1]) == ("QUANTIZE", "QUANTIZE")
    graph.inputs = list(graph.operators[0].outputs)
    graph.outputs = list(graph.operators[-1].inputs)
    graph.operators = graph.operators[1:-1]
    path = folder / "colours-ended.tflite"
    path.write_bytes(file.to_bytes())
    card = Artifact.open(source).card
    assert file.inputs[0].quantization is not None
    quantization = file.inputs[0].quantization
    spec = replace(card.input, dtype=TensorType.INT8, quantization=Quantization(*quantization))
    # The real number of a pixel stays what the uint8 file took it for.
    outer = EndsFile(source.read_bytes()).inputs[0].quantization
    assert outer is not None
    spec = replace(spec, scale=(outer.scale,), offset=(-outer.zero_point * outer.scale,))
    card = replace(
        card, file=path.name, input=spec, sha256=sha256_of(path), size_bytes=path.stat().st_size
    )
    write_json(card_path(path), card.to_json())
    return Artifact.open(path)


def test_int8_is_served_as_uint8_and_gives_identical_bytes(
    chromium: Any, model_fixtures: Path, tmp_path: Path, serve_folder: Callable[..., str]
) -> None:
    artifact = int8_ended(model_fixtures / "full-integer" / "colours-int8.tflite", tmp_path)
    site = write_site([artifact], tmp_path / "site")
    raw = site.models[0].raw
    assert raw["file"] == "model/colours-ended-page.tflite"
    assert [end["dtype"] for end in (*raw["inputs"], *raw["outputs"])] == ["uint8", "uint8"]
    assert "uint8 input, uint8 output" in raw["notes"][0]
    with blank_page(chromium, serve_folder(site.folder)) as page:
        told = ask(page, "return model.verify();")
    assert told["passed"], told
    assert told["largest_output"] == 0


def test_uint8_at_both_ends_gives_identical_bytes(
    chromium: Any, model_fixtures: Path, tmp_path: Path, serve_folder: Callable[..., str]
) -> None:
    artifact = Artifact.open(model_fixtures / "full-integer" / "colours-int8.tflite")
    site = write_site([artifact], tmp_path / "site")
    assert site.models[0].raw["notes"] == []
    url = serve_folder(site.folder)
    with blank_page(chromium, url) as page:
        for options in ({}, {"variant": "compat"}, {"threads": 2}):
            told = ask(page, "return [model.info, await model.verify()];", **options)
            info, verification = told
            assert verification["passed"], verification
            assert verification["largest_output"] == 0
            assert info["threads"] == options.get("threads", 1)
            assert info["variant"] == (
                "threaded" if "threads" in options else options.get("variant", "relaxed-simd")
            )


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_alone_runs_in_onnxruntime_web(
    chromium: Any,
    model_fixtures: Path,
    tmp_path: Path,
    serve_folder: Callable[..., str],
    precision: str,
) -> None:
    artifact = Artifact.open(model_fixtures / "models" / f"colours-{precision}.onnx")
    site = write_site([artifact], tmp_path / "site")
    assert not (site.folder / "engine" / "litert").exists()
    assert bool(site.models[0].raw["notes"]) is (precision == "int8")
    with blank_page(chromium, serve_folder(site.folder)) as page:
        told = ask(page, "return [model.info, await model.verify()];")
    info, verification = told
    assert (info["engine"], info["variant"]) == ("onnxruntime-web", "simd")
    assert verification["passed"], verification
    assert verification["largest_output"] < 1e-6


def test_detectors_of_onnx_run_too(
    chromium: Any, model_fixtures: Path, tmp_path: Path, serve_folder: Callable[..., str]
) -> None:
    for name in ("blocks-yolo.onnx", "squares.onnx"):
        artifact = Artifact.open(model_fixtures / "tasks" / name)
        task = artifact.card.output.task.value
        golden = tmp_path / f"golden-{name}"
        golden.mkdir()
        import cv2

        for index, pixels in enumerate(frames_of(model_fixtures / task)):
            assert cv2.imwrite(str(golden / f"{index}.png"), pixels)
        from mejiro.site import SiteOptions

        site = write_site([artifact], tmp_path / name, options=SiteOptions(golden=golden))
        with blank_page(chromium, serve_folder(site.folder)) as page:
            verification = ask(page, "return model.verify();")
        assert verification["passed"], verification


def test_what_cannot_be_had_is_an_error_with_a_code(
    chromium: Any, tiny_sites: TinySites, serve_folder: Callable[..., str]
) -> None:
    folder, url = tiny_sites("bundle")
    with blank_page(chromium, serve_folder(folder, isolated=False)) as page:
        told = ask(page, "return model.info;", threads=2)
        assert told["code"] == "threads"
        assert "not cross-origin isolated" in told["error"]
        info = ask(page, "return model.info;", threads=2, allowFallback=True)
        assert info["threads"] == 1
        assert "not cross-origin isolated" in info["fallback"]
        assert info["isolated"] is False
        info = ask(page, "return model.info;", threads="auto")
        assert (info["threads"], info["fallback"]) == (1, None)
        told = ask(page, "return model.info;", backend="webgpu")
        assert told["code"] == "webgpu"
        assert ask(page, "return model.info;", index=7)["code"] == "model"
        assert ask(page, "return model.info;", threads=0)["code"] == "threads"
    with blank_page(chromium, url) as page:
        assert ask(page, "return model.info;", threads="auto")["isolated"] is True


def test_an_altered_model_is_refused(
    chromium: Any, tiny_sites: TinySites, tmp_path: Path, serve_folder: Callable[..., str]
) -> None:
    folder, _ = tiny_sites("bundle")
    copy = tmp_path / "altered"
    shutil.copytree(folder, copy)
    model = copy / open_site(folder).models[0].file
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    with blank_page(chromium, serve_folder(copy)) as page:
        told = ask(page, "return model.info;")
        assert told["code"] == "altered"
        model.write_bytes(bytes(data) + b"more")
        assert ask(page, "return model.info;")["code"] == "altered"
        model.unlink()
        assert ask(page, "return model.info;")["code"] == "fetch"


def test_a_wrong_answer_is_told_by_stage(
    chromium: Any, tiny_sites: TinySites, tmp_path: Path
) -> None:
    _, url = tiny_sites("bundle")
    with blank_page(chromium, url) as page:
        # The site's golden data, moved by one frame: other pictures, tensors and answers.
        told = page.evaluate(
            """async () => {
              const { openModel } = await import("/js/core/client.js");
              const ask = async (change) => {
                const site = await (await fetch("/site.json")).json();
                site.base = location.origin + "/";
                change(site.models[0].golden);
                const model = await openModel({site, threads: 1});
                try { return await model.verify(); } finally { model.close(); }
              };
              const turn = (list) => list.push(list.shift());
              return [
                await ask((golden) => turn(golden.inputs)),
                await ask((golden) => turn(golden.outputs)),
              ];
            }"""
        )
    preprocess, infer = told
    assert preprocess["difference"]["stage"] == "preprocess"
    assert preprocess["difference"]["values"] > 0
    assert not infer["passed"]
    assert infer["difference"]["stage"] == "infer"
    assert infer["largest_output"] > infer["tolerance"]


def test_cards_of_pages_are_whole(tiny_site: Path) -> None:
    for model in open_site(tiny_site).models:
        assert ArtifactCard.from_json(model.raw["card"]) == model.card
        assert model.card.labels


def test_webgpu_on_request_says_so(
    start_chromium: Callable[..., Any], tiny_sites: TinySites
) -> None:
    """SwiftShader stands in for a GPU: this tells that it works, not how fast."""
    browser = start_chromium("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    _, url = tiny_sites("bundle")
    with blank_page(browser, url) as page:
        told = ask(page, "return [model.info, await model.verify()];", backend="webgpu", index=1)
    info, verification = told
    assert (info["backend"], info["variant"], info["fallback"]) == ("webgpu", "jspi", None)
    assert verification["passed"], verification
    assert verification["tolerance_for"] == ["*", "*"]


# Stands in for LiteRT.js and tells as its memory how many tensors are alive.
COUNTING_ENGINE = """
let alive = 0;
let turns = 0;
export class Tensor {
  constructor(values) { alive += 1; this.values = values; this.deleted = false; }
  async data() { return this.values; }
  delete() { if (!this.deleted) { alive -= 1; this.deleted = true; } }
}
export const supportsFeature = async () => true;
export const loadLiteRt = async () => ({
  liteRtWasm: { HEAPU8: { buffer: { get byteLength() { return alive; } } } },
});
const details = (ends) => () => ends.map(({dtype, shape}) => ({dtype, shape}));
export const loadAndCompile = async () => ({
  getInputDetails: details(%(inputs)s),
  getOutputDetails: details(%(outputs)s),
  async run() {
    turns += 1;
    if (turns %% 3 === 0) throw new Error("every third time it fails");
    return [new Tensor(new Float32Array(5).fill(0.2))];
  },
});
"""


def test_every_tensor_is_deleted_also_when_the_engine_fails(
    chromium: Any, tiny_sites: TinySites, tmp_path: Path, serve_folder: Callable[..., str]
) -> None:
    folder, _ = tiny_sites("bundle")
    copy = tmp_path / "counting"
    shutil.copytree(folder, copy)
    raw = open_site(folder).models[0].raw
    ends = {name: json.dumps(raw[name]) for name in ("inputs", "outputs")}
    engine = copy / "engine" / "litert" / "index.js"
    engine.write_text(COUNTING_ENGINE % ends, encoding="utf-8")
    script = """
      const picture = new ImageData(64, 48);
      const told = [];
      for (let frame = 0; frame < 8; frame += 1) {
        const error = await model.run(picture).then(() => "", (error) => error.message);
        told.push([error, await model.memory()]);
      }
      return told;
    """
    with blank_page(chromium, serve_folder(copy)) as page:
        told = ask(page, script)
    failed = "every third time it fails"
    # The first of all was the one that opening runs.
    assert [error for error, _ in told] == ["", failed, "", "", failed, "", "", failed]
    assert {alive for _, alive in told} == {0}


def test_no_frame_leaves_anything_behind(chromium: Any, tiny_sites: TinySites) -> None:
    """An input of 12 kB that leaked in each frame would not fit the memory that was there."""
    _, url = tiny_sites("detection")
    script = """
      const before = await model.memory();
      const picture = new ImageData(64, 48);
      for (let frame = 0; frame < 2000; frame += 1) await model.run(picture);
      return [before, await model.memory()];
    """
    with blank_page(chromium, url) as page:
        before, after = ask(page, script)
    assert before == after


def test_frames_are_answered_one_at_a_time(chromium: Any, tiny_sites: TinySites) -> None:
    _, url = tiny_sites("bundle")
    script = """
      const picture = new ImageData(8, 8);
      const told = await Promise.allSettled([model.run(picture), model.run(picture)]);
      model.close();
      const closed = await model.run(picture).catch((error) => error);
      return [...told.map(({status, reason}) => [status, reason?.code]), closed.code];
    """
    with blank_page(chromium, url) as page:
        told = ask(page, script)
    assert told == [["fulfilled", None], ["rejected", "busy"], "closed"]


def test_class_numbers_of_64_bits_are_read(
    chromium: Any, model_fixtures: Path, tmp_path: Path, serve_folder: Callable[..., str]
) -> None:
    import onnx
    from onnx import TensorProto, helper

    source = Artifact.open(model_fixtures / "tasks" / "squares.onnx")
    model = onnx.load(source.path)
    model.graph.node.append(helper.make_node("ArgMax", ["made"], ["places"], axis=1, keepdims=0))
    del model.graph.output[:]
    output = helper.make_tensor_value_info("places", TensorProto.INT64, [1, 8, 8])
    model.graph.output.append(output)
    path = tmp_path / "places.onnx"
    onnx.save(model, path)
    card = replace(
        source.card,
        file=path.name,
        output=source.card.output._replace(indices=True),
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
    )
    write_json(card_path(path), card.to_json())
    site = write_site([Artifact.open(path)], tmp_path / "site")
    assert site.models[0].raw["outputs"][0]["dtype"] == "int64"
    with blank_page(chromium, serve_folder(site.folder)) as page:
        verification = ask(page, "return model.verify();")
    assert verification["passed"], verification
    assert verification["largest_output"] == 0


def test_a_recurrent_model_remembers_until_it_is_told_not_to(
    chromium: Any, tiny_sites: TinySites, model_fixtures: Path
) -> None:
    _, url = tiny_sites("recurrent")
    bundle = open_bundle(model_fixtures / "recurrent")
    frames = frames_of(bundle.folder)[:4]
    card = bundle.card()
    script = """
      const verification = await model.verify();
      const scores = async () => {
        const found = [];
        for (const one of argument) {
          const { top } = await model.run(pictureOf(one));
          found.push(top.map(({score}) => score));
        }
        return found;
      };
      const first = await scores();
      await model.reset();
      return [verification, first, await scores()];
    """
    with blank_page(chromium, url) as page:
        told = ask(page, script, argument=[picture(one) for one in frames])
    verification, first, again = told
    assert verification["passed"], verification
    with open_model(bundle.model_path(card), card, threads=1) as model:
        wanted = [
            [c.score for c in model(Frame(pixels, PixelOrder.BGR, index, 0, 0)).top]
            for index, pixels in enumerate(frames)
        ]
    assert first == [pytest.approx(scores, abs=1e-6) for scores in wanted]
    assert again == first
    assert first[1] != first[0]
