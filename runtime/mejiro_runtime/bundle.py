"""Open a bundle, and refuse it unless every byte is the one that was written."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.errors import BundleError, SpecError, UsageError
from mejiro_runtime.fields import CONTROL_CHARACTERS, parse_json
from mejiro_runtime.files import plain_files, sha256_of
from mejiro_runtime.manifest import (
    CHECKSUMS_NAME,
    MANIFEST_NAME,
    MODELS_FOLDER,
    SIGNATURE_NAME,
    FileEntry,
    Manifest,
)
from mejiro_runtime.types import Label

MAX_THREADS = 4
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
_AGAIN = "copy the bundle again, or write it again with `mejiro bundle`"


class Bundle(NamedTuple):
    """Hold an opened bundle: its folder, its manifest, and its labels."""

    folder: Path
    manifest: Manifest
    labels: tuple[Label, ...]

    def card(self, name: str | None = None) -> ArtifactCard:
        """Return the artifact called `name`, with or without its ending; None is the first.

        Raises UsageError that lists the names there are.
        """
        cards = self.manifest.artifacts
        if name is None:
            return cards[0].with_labels(self.labels)
        for card in cards:
            if name in (card.file, card.name):
                return card.with_labels(self.labels)
        names = ", ".join(card.file for card in cards)
        raise UsageError(f"the bundle has no artifact '{name}'; it has {names}")

    def model_path(self, card: ArtifactCard) -> Path:
        """Return where the model file of `card` lies."""
        return self.folder / MODELS_FOLDER / card.file


def tuned_path(folder: Path) -> Path:
    """Return the file beside the bundle in `folder` that keeps what `mejiro-run tune` chose.

    Nothing may be added inside. A link to the folder has a file of its own.
    """
    place = os.path.abspath(folder)  # noqa: PTH100 - unlike resolve, it keeps the link's name
    return Path(place + ".tuned.json")


def checksums_text(manifest_sha256: str, manifest: Manifest) -> str:
    """Return the text of SHA256SUMS, which `sha256sum -c` understands."""
    sums = {path: entry.sha256 for path, entry in manifest.files.items()}
    sums[MANIFEST_NAME] = manifest_sha256
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))


def open_bundle(folder: Path) -> Bundle:
    """Verify the bundle in `folder` and return it.

    Raises BundleError, with a message of its own for each, if the folder is no bundle, its
    schema is newer, a path leaves the folder, or a file is altered, missing or added.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder; give the folder that `mejiro bundle` wrote")
    manifest_path, sums_path = folder / MANIFEST_NAME, folder / CHECKSUMS_NAME
    for path in (manifest_path, sums_path):
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{folder} has no {path.name}, so it is not a whole bundle; {_AGAIN}")
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path} is larger than {MAX_MANIFEST_BYTES} bytes; {_AGAIN}")
    manifest_bytes, sums = manifest_path.read_bytes(), sums_path.read_bytes()
    digest = hashlib.sha256(manifest_bytes).hexdigest()
    # First the bytes: what a damaged manifest seems to say is no news.
    if f"{digest}  {MANIFEST_NAME}".encode() not in sums.split(b"\n"):
        raise BundleError(
            f"{MANIFEST_NAME} and {CHECKSUMS_NAME} do not agree: one was altered; {_AGAIN}"
        )
    try:
        value = parse_json(manifest_bytes.decode("utf-8"), str(manifest_path))
    except UnicodeDecodeError as error:
        raise BundleError(f"{manifest_path} is not UTF-8: {error}; {_AGAIN}") from None
    manifest = Manifest.from_json(value)
    if checksums_text(digest, manifest).encode() != sums:
        raise BundleError(f"{CHECKSUMS_NAME} does not list the files of {MANIFEST_NAME}; {_AGAIN}")
    _check_names_and_sizes(folder, manifest)
    found = _sums(folder, manifest.files)
    for name, entry in sorted(manifest.files.items()):
        if found.get(name) != entry.sha256:
            raise BundleError(f"{name} has been altered: its checksum is another; {_AGAIN}")
    return Bundle(folder, manifest, read_labels(folder / manifest.labels))


def _check_names_and_sizes(folder: Path, manifest: Manifest) -> None:
    """Compare the folder with the manifest: first the names, then the sizes."""
    listed = set(manifest.files)
    for card in manifest.artifacts:
        listed_as = f"{MODELS_FOLDER}/{card.file}"
        if listed_as not in listed or manifest.files[listed_as].sha256 != card.sha256:
            raise BundleError(f"the manifest contradicts itself about {card.file}; {_AGAIN}")
    found = set(plain_files(folder, _not_plain)) - {MANIFEST_NAME, CHECKSUMS_NAME, SIGNATURE_NAME}
    if missing := sorted(listed - found):
        raise BundleError(f"the bundle lacks {', '.join(missing[:5])}; {_AGAIN}")
    if added := sorted(found - listed):
        raise BundleError(
            f"the bundle holds {', '.join(added[:5])}, which its manifest does not list; "
            "remove that, or write the bundle again"
        )
    for path, entry in sorted(manifest.files.items()):
        size = (folder / path).stat().st_size
        if size != entry.size_bytes:
            raise BundleError(
                f"{path} has {size} bytes, the manifest says {entry.size_bytes}; {_AGAIN}"
            )


def _sums(folder: Path, files: Mapping[str, FileEntry]) -> dict[str, str]:
    """Return the SHA-256 of each of `files`; a few threads, since hashing frees Python's lock."""
    sums: dict[str, str] = {}
    failures: list[Exception] = []
    # The largest first, so that no thread is left alone with one at the end.
    waiting = iter(sorted(files, key=lambda path: -files[path].size_bytes))

    def work() -> None:
        try:
            for path in waiting:
                sums[path] = sha256_of(folder / path)
        except Exception as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    helpers = min(os.cpu_count() or 1, MAX_THREADS) - 1
    threads = [threading.Thread(target=work, daemon=True) for _ in range(helpers)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sums


def _not_plain(path: str) -> BundleError:
    return BundleError(f"{path} is a link or a device, not a plain file; {_AGAIN}")


def read_labels(path: Path) -> tuple[Label, ...]:
    """Read labels.txt: one class a line, ``SYNSET<TAB>NAME``, the synset possibly empty.

    Raises BundleError if it is not such a text.
    """
    try:
        # Not splitlines, which also splits at characters that a name may hold.
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{path.name} is not UTF-8: {error}; {_AGAIN}") from None
    labels = []
    for index, line in enumerate(text.removesuffix("\n").split("\n") if text else ()):
        if CONTROL_CHARACTERS.search(line):
            raise BundleError(f"line {index + 1} of {path.name} holds control characters; {_AGAIN}")
        synset, tab, name = line.partition("\t")
        labels.append(
            Label(index=index, name=name if tab else synset, synset=synset if tab else "")
        )
    return tuple(labels)


def labels_text(labels: tuple[Label, ...]) -> str:
    """Return the text of labels.txt that `read_labels` reads back.

    Raises SpecError for a label that it could not hold.
    """
    for label in labels:
        if "\t" in label.synset or CONTROL_CHARACTERS.search(label.synset + label.name):
            raise SpecError(
                f"label {label.index} holds a tab or control characters: {label.name!r}"
            )
    return "".join(f"{label.synset}\t{label.name}\n" for label in labels)
