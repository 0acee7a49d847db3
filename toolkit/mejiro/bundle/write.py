"""Write a bundle: artifacts, labels, golden frames, the runtime, and a manifest of it all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import string
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from mejiro.bundle.archive import write_arrays
from mejiro.bundle.board import board_readme, write_board_files
from mejiro.bundle.golden import Recorded, choose_frames, record
from mejiro.bundle.kit import Kit, TargetOptions, make_kit
from mejiro.bundle.sign import sign_manifest
from mejiro.bundle.wheel import write_runtime_wheel
from mejiro.data.samples import sample_pictures
from mejiro.errors import DataError, UsageError
from mejiro.model import Artifact
from mejiro_runtime._version import __version__
from mejiro_runtime.bundle import Bundle, checksums_text, labels_text, open_bundle
from mejiro_runtime.card import Format, head_path
from mejiro_runtime.errors import SourceError
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.manifest import (
    CHECKSUMS_NAME,
    MANIFEST_NAME,
    MODELS_FOLDER,
    FileEntry,
    Golden,
    GoldenOutputs,
    Manifest,
)
from mejiro_runtime.sources.pictures import picture_files, read_picture

LABELS_NAME = "labels.txt"
README_NAME = "README.md"
ANY_TARGET = "any"
MAX_GOLDEN_CANDIDATES = 32
_PACKAGES = {Format.TFLITE: "ai-edge-litert", Format.ONNX: "onnxruntime"}


@dataclass(frozen=True)
class BundleOptions:
    """Hold what may be chosen about a bundle.

    `name` defaults to that of the folder it is written to. `golden` is a folder of pictures to
    choose the golden frames from; by default they come from the photographs that Mejiro's
    dependencies ship. `replace` allows an existing bundle to be replaced. `target` adds what a
    device of that kind needs to install it without a network; `sign` is a key to sign it with.
    """

    name: str | None = None
    golden: Path | None = None
    replace: bool = False
    target: TargetOptions | None = None
    sign: Path | None = None


def write_bundle(
    artifacts: Sequence[Artifact],
    out: Path,
    *,
    options: BundleOptions | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Bundle:
    """Write a bundle of `artifacts` to the folder `out`, verify it as a device would, return it.

    The same artifacts, pictures and versions give the same bytes. The folder appears whole or
    not at all. `on_progress` gets a sentence before each stage. Raises UsageError if `out`
    exists or the artifacts do not go together, DataError for unusable golden pictures,
    TargetError for a target that cannot have them.
    """
    options = options or BundleOptions()
    tell = on_progress or (lambda text: None)
    check_together(artifacts)
    _check_free(out, replace=options.replace)
    kit = None
    if options.target is not None:
        tell(f"gathering wheels for {options.target.profile.name}")
        kit = make_kit(artifacts, options.target)
    with folder_beside(out, replace=options.replace) as beside:
        tell("choosing golden frames")
        frames = choose_frames(artifacts, golden_candidates(options.golden))
        for folder in (MODELS_FOLDER, "golden", "wheels"):
            (beside / folder).mkdir()
        _copy_models(beside, artifacts)
        (beside / LABELS_NAME).write_text(labels_text(artifacts[0].card.labels), encoding="utf-8")
        tell("recording golden outputs")
        golden = _write_golden(beside, artifacts, frames)
        tell("packing the runtime")
        wheel = write_runtime_wheel(beside / "wheels")
        name = options.name or out.resolve().name
        _write_readme(beside, name, artifacts, wheel, kit)
        manifest = Manifest(
            name=name,
            made_by=f"mejiro {__version__}",
            artifacts=tuple(artifact.card for artifact in artifacts),
            labels=LABELS_NAME,
            golden=golden,
            runtime={"version": __version__, "wheel": f"wheels/{wheel.name}"},
            target=kit.profile.name if kit else ANY_TARGET,
            files=_list_files(beside),
        )
        write_json(beside / MANIFEST_NAME, manifest.to_json())
        sums = checksums_text(sha256_of(beside / MANIFEST_NAME), manifest)
        (beside / CHECKSUMS_NAME).write_text(sums, encoding="utf-8")
        if options.sign is not None:
            tell("signing the manifest")
            sign_manifest(beside, options.sign)
        tell("verifying the bundle")
        open_bundle(beside)
    return open_bundle(out)


def _copy_models(folder: Path, artifacts: Sequence[Artifact]) -> None:
    for artifact in artifacts:
        model_file = folder / MODELS_FOLDER / artifact.card.file
        shutil.copyfile(artifact.path, model_file)
        if artifact.card.features:
            shutil.copyfile(head_path(artifact.path), head_path(model_file))


def check_together(artifacts: Sequence[Artifact]) -> None:
    """Raise UsageError unless all artifacts answer the same question with the same labels."""
    if not artifacts:
        raise UsageError("a bundle needs at least one artifact; give the exported files")
    first = artifacts[0].card
    for artifact in artifacts:
        card = artifact.card
        if not card.labels:
            raise UsageError(f"{card.file} has no labels; export or adopt it again with some")
        if card.labels != first.labels:
            raise UsageError(
                f"{first.file} and {card.file} have different labels; bundle them apart"
            )
        if card.output.task is not first.output.task:
            raise UsageError(
                f"{first.file} is for {first.output.task.value} and {card.file} for "
                f"{card.output.task.value}; bundle them apart"
            )
        if card.output.background != first.output.background:
            raise UsageError(
                f"{first.file} and {card.file} disagree on the background class; bundle them apart"
            )
    names = [artifact.card.file for artifact in artifacts]
    if len(set(names)) != len(names):
        raise UsageError(f"two artifacts have the same name: {', '.join(sorted(names))}")


def _check_free(out: Path, *, replace: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not replace:
        raise UsageError(f"{out} exists already; name another folder, or pass --replace")
    if out.is_symlink() or not (out / MANIFEST_NAME).is_file():
        raise UsageError(f"{out} is not a bundle, so it is not replaced; name another folder")


@contextmanager
def folder_beside(out: Path, *, replace: bool) -> Iterator[Path]:
    """Give a new folder beside `out`; on success it takes the place of `out`, else it goes."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield beside
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o777 & ~umask)
        if replace and out.exists():
            # The old bundle steps aside first and comes back if the new one cannot take its place.
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent)) / out.name
            out.rename(old)
            try:
                beside.rename(out)
            except OSError:
                old.rename(out)
                raise
            finally:
                shutil.rmtree(old.parent, ignore_errors=True)
        else:
            beside.rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def golden_candidates(folder: Path | None) -> list[Pixels]:
    """Return BGR pictures to choose golden frames from; unreadable ones are passed over."""
    if folder is None:
        return [picture.pixels for picture in sample_pictures()]
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one with pictures for golden frames")
    files = picture_files(folder)
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        files += picture_files(inner)
    # Spread over the folder, so that not all come from its first class.
    step = max(1, len(files) // MAX_GOLDEN_CANDIDATES)
    pictures = []
    for path in files[::step][:MAX_GOLDEN_CANDIDATES]:
        try:
            pictures.append(read_picture(path))
        except SourceError:
            continue
    if not pictures:
        raise DataError(f"{folder} has no readable picture to make golden frames of; give another")
    return pictures


def _write_golden(folder: Path, artifacts: Sequence[Artifact], frames: Sequence[Pixels]) -> Golden:
    write_arrays(folder / "golden" / "frames.npz", frames)
    expected = []
    for artifact in artifacts:
        recorded = record(artifact, frames)
        expected.append(
            GoldenOutputs(
                artifact=artifact.card.file,
                inputs=_write_inputs(folder, artifact, recorded),
                outputs=f"golden/outputs-{artifact.card.file}.npz",
                made_with=recorded.made_with,
                tolerances=recorded.tolerances,
            )
        )
        write_arrays(folder / expected[-1].outputs, recorded.outputs)
    return Golden(frames="golden/frames.npz", count=len(frames), expected=tuple(expected))


def _write_inputs(folder: Path, artifact: Artifact, recorded: Recorded) -> str:
    """Write the input tensors unless an artifact with an equal specification did so already."""
    spec = json.dumps(artifact.card.input.to_json(), sort_keys=True)
    name = f"golden/inputs-{hashlib.sha256(spec.encode()).hexdigest()[:12]}.npz"
    if not (folder / name).exists():
        write_arrays(folder / name, recorded.inputs)
    return name


def _write_readme(
    folder: Path, name: str, artifacts: Sequence[Artifact], wheel: Path, kit: Kit | None
) -> None:
    """Write README.md, and before it what it tells of a target's installation."""
    if kit is None:
        text = _readme(name, artifacts, wheel)
    else:
        needed_bytes = write_board_files(folder, kit, wheel)
        text = board_readme(name, _rows(artifacts), kit, needed_bytes)
    (folder / README_NAME).write_text(text, encoding="utf-8")


def _rows(artifacts: Sequence[Artifact]) -> str:
    rows = []
    for artifact in artifacts:
        card = artifact.card
        earned = card.evaluation
        score = f"{100 * earned['top1']:.1f}% of {earned['pictures']}" if earned else "not measured"
        rows.append(
            f"| {card.file} | {card.format.value} | {card.precision.value} "
            f"| {card.size_bytes / 1e6:.2f} MB | {score} |"
        )
    return "\n".join(rows)


def _readme(name: str, artifacts: Sequence[Artifact], wheel: Path) -> str:
    template = resources.files("mejiro_targets") / "templates" / "bundle-README.md"
    packages = [_PACKAGES[format] for format in Format if format in _formats(artifacts)]
    return string.Template(template.read_text(encoding="utf-8")).substitute(
        name=name,
        artifacts=_rows(artifacts),
        wheel=wheel.name,
        packages=" ".join([*packages, "opencv-python-headless"]),
    )


def _formats(artifacts: Sequence[Artifact]) -> set[Format]:
    return {artifact.card.format for artifact in artifacts}


def _list_files(folder: Path) -> dict[str, FileEntry]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): FileEntry(path.stat().st_size, sha256_of(path))
        for path in files
    }
