"""Describe a bundle: the one file that lists everything else in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.errors import BundleError, SpecError
from mejiro_runtime.fields import CONTROL_CHARACTERS, Fields

MANIFEST_SCHEMA = 1
MANIFEST_NAME = "manifest.json"
CHECKSUMS_NAME = "SHA256SUMS"
# What signs the manifest cannot be listed in it.
SIGNATURE_NAME = "manifest.json.sig"
MODELS_FOLDER = "models"


class FileEntry(NamedTuple):
    """Hold what a file of the bundle must be, to the byte."""

    size_bytes: int
    sha256: str


class Tolerance(NamedTuple):
    """Say how far golden outputs may lie from those recorded, in probability.

    An entry speaks of one backend on one machine type; "*" stands for any. `max_abs` is the
    largest difference of any class's probability; `why` says where the number comes from.
    """

    backend: str
    machine: str
    max_abs: float
    why: str


class GoldenOutputs(NamedTuple):
    """Point to what one artifact must answer to the golden frames.

    `inputs` and `outputs` are .npz files of the bundle; `made_with` says which engine on which
    machine gave the outputs. The first of `tolerances` that fits a device counts.
    """

    artifact: str
    inputs: str
    outputs: str
    made_with: dict[str, Any]
    tolerances: tuple[Tolerance, ...]


class Golden(NamedTuple):
    """Point to the golden frames and to what each artifact makes of them."""

    frames: str
    count: int  # type: ignore[assignment]
    expected: tuple[GoldenOutputs, ...]


@dataclass(frozen=True)
class Manifest:
    """Hold all that a bundle says of itself; every path is relative to its folder.

    `files` lists each file but the manifest, the checksums and the signature. `runtime` names the
    wheel of mejiro-runtime that the bundle carries, and its version.
    """

    name: str
    made_by: str
    artifacts: tuple[ArtifactCard, ...]
    labels: str
    golden: Golden
    runtime: dict[str, str]
    target: str
    files: dict[str, FileEntry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.artifacts:
            raise SpecError("a bundle needs at least one artifact, found none")
        names = [card.file for card in self.artifacts]
        if len(set(names)) != len(names):
            raise SpecError(f"a bundle's artifacts need different names, found {', '.join(names)}")
        for path in self.files:
            check_relative(path)
        for path in (self.labels, self.golden.frames, *self._golden_paths()):
            if path not in self.files:
                raise SpecError(f"the manifest speaks of {path} but does not list it as a file")

    def _golden_paths(self) -> Iterator[str]:
        for entry in self.golden.expected:
            yield from (entry.inputs, entry.outputs)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` gives back an equal manifest without labels."""
        return {
            "schema": MANIFEST_SCHEMA,
            "name": self.name,
            "made_by": self.made_by,
            "artifacts": [card.to_json(labels=False) for card in self.artifacts],
            "labels": self.labels,
            "golden": {
                "frames": self.golden.frames,
                "count": self.golden.count,
                "expected": [_golden_to_json(entry) for entry in self.golden.expected],
            },
            "runtime": dict(self.runtime),
            "target": self.target,
            "files": {
                path: {"size_bytes": entry.size_bytes, "sha256": entry.sha256}
                for path, entry in sorted(self.files.items())
            },
        }

    @classmethod
    def from_json(cls, value: Any) -> Manifest:
        """Read what `to_json` wrote; BundleError for a newer schema, SpecError for bad content."""
        fields = Fields(value, "manifest")
        schema = fields.integer("schema")
        if schema > MANIFEST_SCHEMA:
            raise BundleError(
                f"the bundle has schema {schema}, this runtime reads up to {MANIFEST_SCHEMA}; "
                "upgrade mejiro-runtime on this device"
            )
        golden = Fields(fields.mapping("golden"), "manifest golden")
        runtime = fields.mapping("runtime")
        about_runtime = Fields(runtime, "manifest runtime")
        manifest = cls(
            name=fields.text("name"),
            made_by=fields.text("made_by"),
            artifacts=tuple(ArtifactCard.from_json(card) for card in fields.items("artifacts")),
            labels=check_relative(fields.text("labels")),
            golden=Golden(
                frames=check_relative(golden.text("frames")),
                count=golden.integer("count"),
                expected=tuple(_golden_from_json(entry) for entry in golden.items("expected")),
            ),
            runtime={name: about_runtime.text(name) for name in runtime},
            target=fields.text("target"),
            files={path: _file(path, entry) for path, entry in fields.mapping("files").items()},
        )
        golden.finish()
        fields.finish()
        return manifest


def _file(path: str, value: Any) -> FileEntry:
    fields = Fields(value, f"manifest file '{path}'")
    entry = FileEntry(size_bytes=fields.integer("size_bytes"), sha256=fields.text("sha256"))
    fields.finish()
    return entry


def _golden_to_json(entry: GoldenOutputs) -> dict[str, Any]:
    return {
        "artifact": entry.artifact,
        "inputs": entry.inputs,
        "outputs": entry.outputs,
        "made_with": entry.made_with,
        "tolerances": [
            {"backend": t.backend, "machine": t.machine, "max_abs": t.max_abs, "why": t.why}
            for t in entry.tolerances
        ],
    }


def _golden_from_json(value: Any) -> GoldenOutputs:
    fields = Fields(value, "golden outputs")
    tolerances = []
    for item in fields.items("tolerances"):
        inner = Fields(item, "golden tolerance")
        tolerances.append(
            Tolerance(
                backend=inner.text("backend"),
                machine=inner.text("machine"),
                max_abs=inner.number("max_abs"),
                why=inner.text("why"),
            )
        )
        inner.finish()
    entry = GoldenOutputs(
        artifact=fields.text("artifact"),
        inputs=check_relative(fields.text("inputs")),
        outputs=check_relative(fields.text("outputs")),
        made_with=fields.mapping("made_with"),
        tolerances=tuple(tolerances),
    )
    fields.finish()
    return entry


def check_relative(path: str) -> str:
    """Return `path` if it stays inside the bundle's folder, else raise BundleError."""
    plain = PurePosixPath(path)
    if (
        str(plain) != path
        or plain.is_absolute()
        or not plain.parts
        or ".." in plain.parts
        or "\\" in path
        or ":" in path
        or CONTROL_CHARACTERS.search(path)
    ):
        raise BundleError(
            f"the bundle names the path '{path}', which leaves its folder or is not plain; "
            "do not use it, and get a new one from whoever made it"
        )
    return path
