"""Score what a training run was converted to, on the pictures that the run validated with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mejiro.data.cifar import CIFAR, cifar_folder
from mejiro.data.folders import LabelledPicture, labelled_pictures
from mejiro.data.tree import find_sides, read_tree
from mejiro.errors import DataError
from mejiro.model import Artifact, Evaluation
from mejiro.quality.answering import KERAS_FILE
from mejiro.quality.convert import Conversion
from mejiro.report.training import write_training_report
from mejiro.report.training.exports import Exports, ExportScore
from mejiro.report.training.run_files import EXPORTS, Split, read_split
from mejiro_runtime.card import Format, Precision
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.types import Label

_FORMATS = {Format.TFLITE: "TFLite", Format.ONNX: "ONNX"}
_PRECISIONS = {Precision.FP32: "float", Precision.FP16: "fp16", Precision.INT8: "int8"}


@dataclass(frozen=True)
class Selection:
    """Hold the pictures to score a run's files on, and say in a sentence which they are.

    `validation` is whether they are pictures that the run validated with; if not, `words` is
    something that a user should be told.
    """

    data: str
    pictures: tuple[LabelledPicture, ...]
    validation: bool
    words: str


def select_validation(run: Path, data: Path, labels: Sequence[Label]) -> Selection:
    """Return the pictures in `data` that the training run `run` validated with.

    They are found by the hashes of their bytes, wherever they lie in the class folders of
    `data`, or of its train/ and val/, and each counts once, in the class that it was validated
    with. If there is not one, all pictures are returned, in the classes that their folders name.
    `data` may be ``cifar10`` or ``cifar100``. Raises DataError for a folder without pictures.
    """
    split, (name, root) = read_split(run), _named(data)
    wanted = {picture.sha256: picture.label_index for picture in split.val}
    found: dict[str, LabelledPicture] = {}
    hashes = []
    for path in _pictures(root):
        hashes.append(_hash(path))
        if hashes[-1] in wanted:
            found.setdefault(hashes[-1], LabelledPicture(path, wanted[hashes[-1]]))
    if not found:
        return _all_pictures(name, root, labels, _trained_on(hashes, split))
    words = f"Scored on the run's {len(found)} validation pictures, found in {name} by their hashes"
    if missing := len(wanted) - len(found):
        words = (
            f"Scored on {len(found)} of the run's {len(wanted)} validation pictures, found in "
            f"{name} by their hashes; the other {missing} are not there"
        )
    return Selection(name, tuple(found.values()), True, f"{words}.")


def _named(data: Path) -> tuple[str, Path]:
    """Return what `data` is called, and its folder."""
    if str(data) in CIFAR and not data.exists():
        return str(data), cifar_folder(str(data))
    return data.resolve().name, data


def _class_roots(root: Path) -> list[Path]:
    """Return the folders that hold class folders: `root`, or its training and validation side."""
    sides = find_sides(root)
    if sides is None:
        return [root]
    return [side for side in (sides.val, sides.train) if side is not None]


def _pictures(root: Path) -> Iterator[Path]:
    for folder in _class_roots(root):
        for paths in read_tree(folder, root).classes.values():
            yield from paths


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def _trained_on(hashes: Sequence[str], split: Split) -> int:
    """Return how many of `hashes` are of pictures that the run trained on."""
    trained = {picture.sha256 for picture in split.train}
    return sum(one in trained for one in hashes)


def _all_pictures(name: str, root: Path, labels: Sequence[Label], trained: int) -> Selection:
    pictures = [
        picture for folder in _class_roots(root) for picture in labelled_pictures(folder, labels)
    ]
    words = (
        f"Scored on all {len(pictures)} pictures of {name}, none of which is a validation picture "
        "of the run"
    )
    if trained:
        words += f"; {trained} of them were trained on, so the figures run high"
    return Selection(name, tuple(pictures), False, f"{words}.")


def keep_scores(run: Path, conversion: Conversion, selection: Selection) -> Exports:
    """Write what `conversion` scored into the run's `exports.json`, and its report anew.

    The conversion was scored with the network itself. Returns the scores, the network's first.
    """
    if conversion.network is None or conversion.reference is None:
        raise ValueError("the conversion was not scored with its network")
    network = run / "model" / KERAS_FILE
    scores = [
        _network_score(network, conversion.network),
        *(
            _score(artifact, kept=artifact in conversion.artifacts)
            for artifact in _in_order(conversion)
        ),
    ]
    exports = Exports(
        model_sha256=sha256_of(network),
        data=selection.data,
        validation=selection.validation,
        selection=selection.words,
        scores=tuple(scores),
    )
    write_json(run / EXPORTS, exports.to_json())
    write_training_report(run)
    return exports


def _in_order(conversion: Conversion) -> list[Artifact]:
    """Return the float export first, then the others."""
    reference = conversion.reference
    rest = [artifact for artifact in conversion.artifacts if artifact != reference]
    return rest if reference is None else [reference, *rest]


def _network_score(network: Path, evaluation: Evaluation) -> ExportScore:
    return ExportScore("float Keras", network.name, network.stat().st_size, evaluation)


def _score(artifact: Artifact, *, kept: bool) -> ExportScore:
    card = artifact.card
    precision = _PRECISIONS.get(card.precision, card.precision.value)
    return ExportScore(
        name=f"{precision} {_FORMATS[card.format]}",
        file=card.file,
        size_bytes=card.size_bytes,
        evaluation=Evaluation.from_json(card.evaluation),
        kept=kept,
    )
