"""Take in a bundle's files: only those that are not here, each checked, and whole or not at all.

Nothing of a bundle runs before its manifest is signed as this device demands and every file has
the checksum that the manifest gives.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mejiro_agent.errors import AgentError
from mejiro_agent.root import Root, make_folders, sync_folder, write_whole

MANIFEST_NAME, CHECKSUMS_NAME, SIGNATURE_NAME = "manifest.json", "SHA256SUMS", "manifest.json.sig"
NAMESPACE = "mejiro-bundle"
HASH_DIGITS = 16
_HASH = re.compile(r"[0-9a-f]{16}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE_BYTES = 1 << 18
_SSH_KEYGEN_TIMEOUT_S = 60


class Entry(NamedTuple):
    """Hold what a file must be."""

    size_bytes: int
    sha256: str


def read_entries(manifest: bytes) -> dict[str, Entry]:
    """Return the files that a manifest lists; AgentError for paths that leave the bundle."""
    try:
        files = json.loads(manifest)["files"].items()
        entries = {
            str(path): Entry(int(one["size_bytes"]), str(one["sha256"])) for path, one in files
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AgentError(f"manifest.json is not a manifest: {error!r}") from None
    for path, entry in entries.items():
        check_path(path)
        if entry.size_bytes < 0 or not _SHA256.fullmatch(entry.sha256):
            raise AgentError(f"manifest.json lists {path} with no proper size or checksum")
    return entries


def check_path(path: str) -> str:
    """Return `path` if it stays inside the bundle's folder, else raise AgentError."""
    plain = PurePosixPath(path)
    parts_fit = bool(plain.parts) and ".." not in plain.parts and not plain.is_absolute()
    if str(plain) != path or not parts_fit or not path.isprintable() or "\\" in path:
        raise AgentError(f"the bundle names the path {path!r}, which leaves its folder")
    return path


def digest_of(path: Path, size_bytes: int | None = None) -> str:
    """Return the SHA-256 of a file, or of its first `size_bytes`."""
    digest = hashlib.sha256()
    left = size_bytes
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES if left is None else min(left, _PIECE_BYTES)):
            digest.update(piece)
            left = None if left is None else left - len(piece)
    return digest.hexdigest()


def _is(path: Path, entry: Entry) -> bool:
    """Say whether `path` is a plain file with the size and checksum of `entry`."""
    try:
        plain = path.is_file() and not path.is_symlink()
        return plain and path.stat().st_size == entry.size_bytes and digest_of(path) == entry.sha256
    except OSError:
        return False


class Upload:
    """Hold one bundle that is on its way: into ``releases/HASH.part``, then ``releases/HASH``."""

    def __init__(self, root: Root, manifest: bytes, sums: bytes, signature: bytes | None) -> None:
        self.root, self.manifest, self.sums, self.signature = root, manifest, sums, signature
        self.digest = hashlib.sha256(manifest).hexdigest()
        self.name = self.digest[:HASH_DIGITS]
        self.entries = read_entries(manifest)
        self.part = root.releases / f"{self.name}.part" / "bundle"
        self.failure: str | None = None
        self._open: tuple[str, int] | None = None

    def compare(self) -> tuple[list[dict[str, Any]], dict[str, Path]]:
        """Return what is missing, and where what is not can be taken from; change nothing.

        Of each missing file its path, and how many bytes of it are here already with their
        checksum: the host goes on there if they are right.
        """
        sources = self._sources()
        missing: list[dict[str, Any]] = []
        found: dict[str, Path] = {}
        coming: set[str] = set()
        for path, entry in sorted(self.entries.items()):
            if self._have(path, entry) or entry.sha256 in coming:
                continue  # a second file with the same bytes follows the first in `finish`
            source = sources.get(entry.sha256)
            if source is not None and _is(source, entry):
                found[path] = source
                continue
            coming.add(entry.sha256)
            missing.append({"path": path, **self._partial(path, entry)})
        return missing, found

    def begin(self) -> dict[str, Any]:
        """Make ready, take over what is here, and return what is missing."""
        make_folders(self.root)
        self.part.mkdir(parents=True, exist_ok=True)
        missing, found = self.compare()
        for path, source in found.items():
            self._take_over(source, path, self.entries[path])
        return {"release": self.name, "missing": missing, "linked": len(found)}

    def _have(self, path: str, entry: Entry) -> bool:
        return _is(self.root.bundle(self.name) / path, entry) or _is(self.part / path, entry)

    def _sources(self) -> dict[str, Path]:
        """Return the files of other releases by their checksum, as their manifests give it."""
        found: dict[str, Path] = {}
        for folder in sorted(self.root.releases.glob("*/bundle")):
            with contextlib.suppress(OSError, AgentError):
                for path, entry in read_entries((folder / MANIFEST_NAME).read_bytes()).items():
                    found.setdefault(entry.sha256, folder / path)
        return found

    def _take_over(self, source: Path, path: str, entry: Entry) -> bool:
        """Link or copy a file that is here under another name; say whether that went well."""
        if not _is(source, entry):
            return False
        place = self._place(path)
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        try:
            os.link(source, place)
        except OSError:
            shutil.copyfile(source, place)
        return True

    def _place(self, path: str) -> Path:
        place = self.part / check_path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _partial(self, path: str, entry: Entry) -> dict[str, Any]:
        place = self.part / path
        size = place.stat().st_size if place.is_file() and not place.is_symlink() else 0
        if not 0 < size <= entry.size_bytes or place.stat().st_nlink > 1:
            return {"offset": 0, "sha256": hashlib.sha256(b"").hexdigest()}
        return {"offset": size, "sha256": digest_of(place)}

    def open_at(self, path: str, offset: int) -> None:
        """Be ready to write a file of the manifest from `offset` on."""
        self.close()
        if path not in self.entries:
            raise AgentError(f"{path} is not in the manifest")
        place = self._place(path)
        if place.is_symlink() or (offset == 0 and place.exists()):
            place.unlink()  # it may be a link to another release's file
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(handle, offset)
        os.lseek(handle, offset, os.SEEK_SET)
        self._open = (path, handle)

    def write(self, data: bytes) -> None:
        """Write the next piece of the open file."""
        if self._open is None:
            raise AgentError("no file is open")
        path, handle = self._open
        if os.lseek(handle, 0, os.SEEK_CUR) + len(data) > self.entries[path].size_bytes:
            raise AgentError(f"{path} is longer than its manifest says")
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]

    def close(self) -> None:
        """Close the open file, if any."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def finish(self) -> None:
        """Check every file and let the release appear by one rename; AgentError if one is wrong."""
        self.close()
        release = self.root.release(self.name)
        for path, entry in sorted(self.entries.items()):
            if not self._have(path, entry) and not self._from_twin(path, entry):
                with contextlib.suppress(OSError):
                    (self.part / path).unlink()
                raise AgentError(f"{path} arrived damaged; deploy again, what arrived well is kept")
        notes = {MANIFEST_NAME: self.manifest, CHECKSUMS_NAME: self.sums}
        if self.signature is not None:
            notes[SIGNATURE_NAME] = self.signature
        if not release.exists():
            self._remove_strangers(self.part, {*self.entries, *notes})
            for name, data in notes.items():
                write_whole(self.part / name, data)
            self._appear(release)
            return
        # It was here: what was damaged in it is mended file by file.
        bundle = self.root.bundle(self.name)
        for path in _walk(self.part):
            if path in self.entries:
                (bundle / path).parent.mkdir(parents=True, exist_ok=True)
                (self.part / path).replace(bundle / path)
        for name, data in notes.items():
            if not (bundle / name).is_file() or (bundle / name).read_bytes() != data:
                write_whole(bundle / name, data)
        self._remove_strangers(bundle, {*self.entries, *notes})
        shutil.rmtree(self.part.parent, ignore_errors=True)

    def _from_twin(self, path: str, entry: Entry) -> bool:
        twins = (other for other, one in self.entries.items() if one.sha256 == entry.sha256)
        return any(self._take_over(self.part / twin, path, entry) for twin in twins if twin != path)

    def _appear(self, release: Path) -> None:
        os.sync()
        self.part.parent.rename(release)
        sync_folder(self.root.releases)

    @staticmethod
    def _remove_strangers(folder: Path, known: set[str]) -> None:
        for path in list(_walk(folder)):
            if path not in known:
                (folder / path).unlink()


def _walk(folder: Path) -> Iterator[str]:
    """Give every file and link below `folder` by its relative path; links are not followed."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in [*files, *links]:
            yield (Path(place) / name).relative_to(folder).as_posix()


def check_signature(
    root: Root, manifest: bytes, signature: bytes | None, signers: bytes | None
) -> str | None:
    """Return who signed a manifest, or None where this device demands nothing.

    `signers` is what a first deploy brings to be demanded from then on (the format of
    ALLOWED SIGNERS in ssh-keygen(1)); it must fit this bundle, and later ones must not change it.
    Raises AgentError for a bundle that is unsigned, or signed by anyone else.
    """
    kept = root.signers.read_bytes() if root.signers.is_file() else None
    if kept is not None and signers is not None and signers != kept:
        raise AgentError(
            f"this device has other allowed signers already; change {root.signers} on the device, "
            "or leave out --signers"
        )
    wanted = kept if kept is not None else signers
    if wanted is None:
        return None
    if signature is None:
        raise AgentError(
            "the bundle is not signed, and this device takes signed ones only; write it again "
            "with `mejiro bundle --sign KEY`"
        )
    who = _verify(wanted, manifest, signature)
    if kept is None:
        make_folders(root)
        write_whole(root.signers, wanted)
    return who


def _verify(signers: bytes, manifest: bytes, signature: bytes) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "signers").write_bytes(signers)
        (folder / "signature").write_bytes(signature)
        common = ["-f", str(folder / "signers"), "-s", str(folder / "signature")]
        found = _ssh_keygen(["find-principals", *common], b"")
        # A line for each name of the first entry with the key, or all in one: any will do.
        lines = found.stdout.decode("utf-8", "replace").splitlines()
        names = [line.split(",")[0].strip() for line in lines if line.strip()]
        if found.returncode != 0 or not names:
            raise AgentError(
                "the bundle is signed by a key that this device does not know; sign it with one of "
                "its allowed signers"
            )
        reason = ""
        for who in names:
            done = _ssh_keygen(["verify", *common, "-I", who, "-n", NAMESPACE], manifest)
            if done.returncode == 0:
                return who
            reason = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())
    raise AgentError(
        f"the bundle's signature is wrong ({reason}): it was altered after it was signed"
    )


def _ssh_keygen(words: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", "-Y", *words],
            input=data,
            capture_output=True,
            timeout=_SSH_KEYGEN_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise AgentError(
            "this device takes signed bundles only and has no ssh-keygen to check them; install "
            "openssh-client"
        ) from None


def check_name(name: str) -> str:
    """Return the name of a release if it is one, else raise AgentError."""
    if not _HASH.fullmatch(name):
        raise AgentError(f"'{name}' is not the name of a release, 16 hexadecimal digits")
    return name
