"""Write the files of one float model, doing what they share only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.calibration import CalibrationPicture, CalibrationSet, default_calibration
from mejiro.data.clusters import nearest_to_centres
from mejiro.errors import ExportError, UsageError
from mejiro.export.linear_head import LinearHead, find_linear_head
from mejiro.export.normalization import (
    exact_quantization,
    exported_input,
    nearest_quantization,
)
from mejiro.export.observe import features_of, find_ranges
from mejiro.export.onnx import convert_from_tflite
from mejiro.export.quantize import (
    Ranges,
    convert_for_quantization,
    pixel_quantization,
    quantize,
    refuse_unfit,
)
from mejiro.export.recipe import Choice, Recipe
from mejiro.export.tflite import calibration_input, check_mixed, convert_float, convert_int8
from mejiro.export.trained import trained_ranges
from mejiro.model import Artifact, FloatModel
from mejiro_runtime._version import __version__
from mejiro_runtime.card import (
    ArtifactCard,
    Format,
    OutputSpec,
    Precision,
    Scores,
    card_path,
    head_path,
)
from mejiro_runtime.files import replacing, sha256_of, write_json
from mejiro_runtime.preprocess import InputSpec

_PACKAGES = {
    Format.TFLITE: ("tensorflow", "keras"),
    Format.ONNX: ("tensorflow", "keras", "tf2onnx", "onnx", "onnxslim"),
}
_QUANTIZER = "ai-edge-quantizer"


@dataclass(frozen=True)
class Outputs:
    """Say how files differ from the usual: float32 probabilities, and int8 by the usual means.

    `full_integer` keeps the output of int8 files uint8. `with_features` adds the last feature map
    as a second output, float32 (1, height, width, channels), and writes the weights of the linear
    head beside the file. `recipe` says how int8 files are quantized. The first excludes the
    others.
    """

    full_integer: bool = False
    with_features: bool = False
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        if self.with_features and self.full_integer:
            raise UsageError(
                "features are float32, and a full-integer file gives integers alone; leave "
                "--with-features or --full-integer out"
            )
        if self.recipe is not None and self.full_integer:
            raise UsageError("a recipe gives float32 probabilities; leave --full-integer out")


class Exporter:
    """Hold a float model on its way to files, and the TFLite graphs that they are made of.

    Without `calibration` int8 files are quantized by the default set. For `full_integer` and
    `with_features` see `Outputs`. With `recipe` int8 files are quantized by it, with `ranges` if
    they are given (see `quantize`) and else with those that the calibration shows. A model that
    was trained for int8 brings its own recipe and ranges, unless `recipe` is given. With `source`
    a recipe quantizes that, what `convert_for_quantization` gave and others amended, in place of
    the model's own float file. `on_progress` gets a few words before each stage. Raises
    ExportError for features of a model without a linear head.
    """

    def __init__(
        self,
        model: FloatModel,
        *,
        calibration: CalibrationSet | None = None,
        full_integer: bool = False,
        with_features: bool = False,
        recipe: Recipe | None = None,
        ranges: Ranges | None = None,
        source: bytes | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        if recipe is None and (ranges is not None or source is not None):
            raise UsageError("ranges and a source are used by a recipe alone; give one")
        # A recipe from outside asks for other scales than those that the model was trained to.
        self._use_trained = recipe is None and model.trained is not None
        if model.trained is not None and recipe is None:
            recipe = Recipe.from_json(model.trained.recipe, f"the recipe of {model.name}")
        self.model = model
        self.outputs = Outputs(full_integer, with_features, recipe)
        self.head = find_linear_head(model) if with_features else None
        self._ranges, self._source = ranges, source
        self._calibration = calibration
        self._tell = on_progress or (lambda text: None)
        self._tflite: dict[Precision, bytes] = {}
        self._unreadable: list[str] = []

    @property
    def calibration(self) -> CalibrationSet | None:
        """The pictures that int8 files were calibrated with, once one was made."""
        return self._calibration

    def tflite(self, precision: Precision) -> bytes:
        """Return the model as a TFLite file of `precision`, converted at the first call."""
        if precision not in self._tflite:
            if precision is Precision.INT8 and self.outputs.recipe is not None:
                data = self._quantize_by(self.outputs.recipe)
            elif precision is Precision.INT8:
                data = self._quantize()
            else:
                self._tell(f"converting to TFLite {precision.value}")
                data = convert_float(self.model, precision, self.head)
            self._tflite[precision] = data
        return self._tflite[precision]

    def onnx(self, precision: Precision) -> bytes:
        """Return the model as an ONNX file of `precision`; see `export.onnx`."""
        # ONNX stores its own float16 weights, so both float precisions begin with TFLite's fp32.
        source = self.tflite(Precision.INT8 if precision is Precision.INT8 else Precision.FP32)
        self._tell(f"converting to ONNX {precision.value}")
        recipe = self.outputs.recipe if precision is Precision.INT8 else None
        return convert_from_tflite(source, self.model, precision, self.head, recipe=recipe)

    def write(self, data: bytes, format: Format, precision: Precision, out: Path) -> Artifact:
        """Write `data` and its card into the folder `out`, both or neither, and return them.

        The file is called ``<model>-<precision>.<format>``. With features the weights of the head
        lie beside it too, see `card.head_path`. Raises ExportError if it cannot be
        written.
        """
        name = f"{self.model.name}-{precision.value}.{format.value}"
        if Path(name).name != name:
            raise ExportError(
                f"'{self.model.name}' cannot name a file; give the model another name"
            )
        path = out / name
        try:
            with ExitStack() as stack:
                beside = stack.enter_context(replacing(path))
                beside.write_bytes(data)
                card = self._card(beside, name, format, precision)
                if self.head is not None:
                    head_file = stack.enter_context(replacing(head_path(path)))
                    _write_weights(head_file, self.head)
                    digest = sha256_of(head_file)
                    card = replace(card, features=self.head.shape, head_sha256=digest)
                # What is there under these names belongs together until both are replaced; a file
                # without a card, or with another's, is refused by whoever reads it.
                write_json(card_path(path), card.to_json())
        except OSError as error:
            raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
        return Artifact(path=path, card=card)

    def _quantize(self) -> bytes:
        calibration = self._calibration_set()
        self._tell(f"quantizing to int8 with {len(calibration)} pictures of {calibration.name}")
        return convert_int8(
            self.model, self._tensors, full_integer=self.outputs.full_integer, head=self.head
        )

    def _quantize_by(self, recipe: Recipe) -> bytes:
        source = self._source
        if source is None:
            self._tell("converting to TFLite fp32")
            source = convert_for_quantization(self.model, self.head)
        # What is wrong with the recipe is said before the pictures are run.
        refuse_unfit(source, recipe)
        ranges = self._ranges
        if self._use_trained:
            ranges = trained_ranges(self.model, source)
        if ranges is None:
            calibration = self._choose(source, recipe)
            self._tell(f"calibrating with {len(calibration)} pictures of {calibration.name}")
            ranges = find_ranges(source, self._tensors(calibration_input(self.model.input)), recipe)
        self._tell("quantizing by the recipe")
        data = quantize(source, recipe, ranges, pixels=pixel_quantization(self.model))
        check_mixed(data, self.model, self.head)
        return data

    def _choose(self, source: bytes, recipe: Recipe) -> CalibrationSet:
        """Keep as many pictures of the calibration set as the recipe takes, and return it."""
        calibration = self._calibration_set()
        count = recipe.calibration.pictures
        if len(calibration) <= count:
            return calibration
        if recipe.calibration.choice is Choice.K_MEANS:
            self._tell(f"choosing {count} of {len(calibration)} pictures of {calibration.name}")
            left_out: list[CalibrationPicture] = []
            tensors = calibration.tensors(
                calibration_input(self.model.input), on_unreadable=left_out.append
            )
            features = features_of(source, tensors)
            readable = [
                one for one in calibration.pictures if not any(one is bad for bad in left_out)
            ]
            chosen = tuple(readable[place] for place in nearest_to_centres(features, count))
        else:
            chosen = calibration.pictures[:count]  # a set begins with some of each folder
        self._calibration = replace(calibration, pictures=chosen)
        return self._calibration

    def _tensors(self, spec: InputSpec) -> Iterator[NDArray[Any]]:
        """Yield the calibration tensors, and note which pictures cannot be read."""
        self._unreadable.clear()
        return self._calibration_set().tensors(
            spec, on_unreadable=lambda picture: self._unreadable.append(picture.name)
        )

    def _calibration_set(self) -> CalibrationSet:
        if self._calibration is None:
            self._calibration = default_calibration()
        return self._calibration

    def _card(self, file: Path, name: str, format: Format, precision: Precision) -> ArtifactCard:
        return ArtifactCard(
            file=name,
            format=format,
            precision=precision,
            input=exported_input(self.model.input),
            output=OutputSpec(scores=Scores.PROBABILITIES),
            size_bytes=file.stat().st_size,
            sha256=sha256_of(file),
            labels=self.model.labels,
            lineage={
                "model": self.model.lineage,
                "export": self._lineage(format, precision),
            },
        )

    def _lineage(self, format: Format, precision: Precision) -> dict[str, Any]:
        """Say how the file was made: everything that would have to be the same to make it again."""
        lineage: dict[str, Any] = {
            "mejiro": __version__,
            "packages": {name: metadata.version(name) for name in _PACKAGES[format]},
            "normalization": "operations",
        }
        if precision is Precision.INT8:
            plain = self.outputs.recipe is None
            folded = nearest_quantization if plain else exact_quantization
            if folded(self.model.input) is not None:
                lineage["normalization"] = "folded into the input quantization"
            lineage["full_integer"] = self.outputs.full_integer
            lineage["calibration"] = self._calibration_lineage()
            if self.outputs.recipe is not None:
                lineage["packages"][_QUANTIZER] = metadata.version(_QUANTIZER)
                lineage["recipe"] = self.outputs.recipe.to_json()
        return lineage

    def _calibration_lineage(self) -> dict[str, Any]:
        if self._use_trained:
            return {"method": "quantization-aware training"}
        if self._ranges is not None and self._calibration is None:
            return {"method": "ranges given"}
        calibration = self._calibration_set()
        recipe = self.outputs.recipe
        method = "minimum and maximum" if recipe is None else recipe.method_in_words()
        return {
            "name": calibration.name,
            "pictures": len(calibration) - len(self._unreadable),
            "unreadable": list(self._unreadable),
            "method": method,
            "note": calibration.note,
        }


def _write_weights(path: Path, head: LinearHead) -> None:
    """Write the weights of `head`, (classes, channels), as a .npy file: float16 where that will do.

    They weigh a map to look at, and a device reads one row of them at a time.
    """
    weights = head.weights
    if np.abs(weights).max(initial=0.0) <= np.finfo(np.float16).max:
        weights = weights.astype(np.float16)
    with path.open("wb") as stream:
        np.save(stream, weights, allow_pickle=False)
