"""Take the models of a site, with their golden data, from exported files or from a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mejiro.bundle.golden import choose_frames, record
from mejiro.bundle.write import check_together, golden_candidates
from mejiro.errors import SiteError, UsageError
from mejiro.model import Artifact
from mejiro.site.golden import GoldenData
from mejiro.site.options import SiteOptions
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import ArtifactCard, Format
from mejiro_runtime.golden import read_arrays


@dataclass(frozen=True, eq=False)
class Model:
    """Hold one model of a site to be: its file, its card with labels, and its golden data."""

    path: Path
    card: ArtifactCard
    golden: GoldenData


def models_of_bundle(folder: Path, options: SiteOptions) -> list[Model]:
    """Return the models of the bundle in `folder` that a page takes, which is verified first."""
    if options.golden is not None:
        raise UsageError("a bundle brings its golden frames; leave --golden out")
    bundle = open_bundle(folder)
    golden = bundle.manifest.golden
    frames = read_arrays(folder / golden.frames, golden.count)
    models = []
    for card in _preferred(bundle.manifest.artifacts):
        expected = next((e for e in golden.expected if e.artifact == card.file), None)
        if expected is None:
            raise SiteError(f"the bundle has no golden outputs for {card.file}; write it again")
        data = GoldenData(
            frames=frames,
            inputs=read_arrays(folder / expected.inputs, golden.count),
            outputs=read_arrays(folder / expected.outputs, golden.count),
            made_with=expected.made_with,
            tolerances=expected.tolerances,
        )
        models.append(Model(bundle.model_path(card), card.with_labels(bundle.labels), data))
    return models


def models_of_artifacts(
    artifacts: Sequence[Artifact], options: SiteOptions, tell: Callable[[str], None]
) -> list[Model]:
    """Return the models of exported files, with golden data recorded here."""
    check_together(artifacts)
    wanted = {card.file for card in _preferred([artifact.card for artifact in artifacts])}
    chosen = [artifact for artifact in artifacts if artifact.card.file in wanted]
    tell("choosing golden frames")
    frames = choose_frames(chosen, golden_candidates(options.golden))
    models = []
    for artifact in chosen:
        tell(f"recording golden outputs of {artifact.card.file}")
        made = record(artifact, frames)
        data = GoldenData(frames, made.inputs, made.outputs, made.made_with, made.tolerances)
        models.append(Model(artifact.path, artifact.card, data))
    return models


def _preferred(cards: Sequence[ArtifactCard]) -> list[ArtifactCard]:
    """Return the TFLite files, if there are any: LiteRT.js is several times faster."""
    tflite = [card for card in cards if card.format is Format.TFLITE]
    return tflite or list(cards)
