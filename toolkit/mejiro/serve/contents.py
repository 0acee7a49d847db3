"""Hold what a site serves: the files that its site.json lists, checked once, in memory.

Nothing is read from the disk while the page is served: no path of a request reaches the file
system, and what is sent is what was checked.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from mejiro.errors import ServeError
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields, read_json

SITE_FILE = "site.json"
INDEX_FILE = "index.html"
MAX_FILES = 2000
MAX_BYTES = 1 << 30
GZIP_LEVEL = 6
# What gzip does not make this much smaller is sent as it is: the phone has to unpack it again.
WORTH_PACKING = 0.95

CONTENT_TYPES = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".ico": "image/x-icon",
        ".jpg": "image/jpeg",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
        ".webp": "image/webp",
    }
)
OTHER_TYPE = "application/octet-stream"  # models and golden frames


@dataclass(frozen=True)
class Entry:
    """Hold one file of a site: its bytes, their SHA-256 in hexadecimal, and how it is sent."""

    path: str
    body: bytes
    sha256: str

    @property
    def content_type(self) -> str:
        """The media type, by the file's suffix."""
        suffix = PurePosixPath(self.path).suffix.lower()
        if not suffix and self.path.startswith("LICENSES/"):
            suffix = ".txt"
        return CONTENT_TYPES.get(suffix, OTHER_TYPE)


@dataclass(frozen=True)
class Contents:
    """Hold a site as it is served; `version` changes whenever one of its files does."""

    name: str
    version: str
    entries: MappingProxyType[str, Entry]

    def find(self, path: str) -> Entry | None:
        """Return what stands at the path of a request, or None."""
        return self.entries.get(path.removeprefix("/") or INDEX_FILE)

    @property
    def size_bytes(self) -> int:
        """The bytes of all files, before compression."""
        return sum(len(entry.body) for entry in self.entries.values())


def read_contents(folder: Path) -> Contents:
    """Read the site in `folder` into memory; ServeError if it is none, or is not as it says."""
    listed = folder / SITE_FILE
    if not listed.is_file():
        raise ServeError(
            f"{folder} holds no {SITE_FILE}, so it is no site; write one with "
            "`mejiro bundle ARTIFACT --target android-web --out DIR`"
        )
    try:
        value = read_json(listed)
        fields = Fields(value, SITE_FILE)
        files = fields.mapping("files")
        name, version = fields.text("name"), fields.text("version")
        if len(files) > MAX_FILES or INDEX_FILE not in files:
            raise SpecError(f"{SITE_FILE} must list {INDEX_FILE} and at most {MAX_FILES} files")
        entries = _read_all(folder, files)
        body = listed.read_bytes()
        entries[SITE_FILE] = Entry(SITE_FILE, body, hashlib.sha256(body).hexdigest())
    except (SpecError, OSError) as error:
        raise ServeError(f"{folder} cannot be served: {error}; write the site again") from None
    return Contents(name, version, MappingProxyType(entries))


def _read_all(folder: Path, files: dict[str, Any]) -> dict[str, Entry]:
    root, entries, total = folder.resolve(), {}, 0
    for path, told in files.items():
        fields = Fields(told, f"{SITE_FILE}: '{path[:80]}'")
        size, sha256 = fields.integer("size_bytes"), fields.text("sha256")
        if not is_inside(path) or not (root / path).resolve().is_relative_to(root):
            raise SpecError(f"{SITE_FILE} names a file outside of it: {path[:80]!r}")
        total += max(0, size)
        if total > MAX_BYTES:
            raise SpecError(f"its files are larger than {MAX_BYTES} bytes")
        body = _read_bounded(root / path, size)
        if hashlib.sha256(body).hexdigest() != sha256:
            raise SpecError(f"{path} is not the file that {SITE_FILE} lists")
        entries[path] = Entry(path, body, sha256)
    return entries


def is_inside(path: str) -> bool:
    """Say whether a listed path is plain: relative, without '..', '.', '' or control characters."""
    parts = path.split("/")
    return (
        path.isprintable()
        and "\\" not in path
        and not any(part in ("", ".", "..") for part in parts)
    )


def _read_bounded(path: Path, size: int) -> bytes:
    if not path.is_file():
        raise SpecError(f"{path.name} is listed and not there")
    with path.open("rb") as stream:
        return stream.read(max(0, size) + 1)


def pack(body: bytes) -> bytes | None:
    """Return `body` compressed by gzip, or None where that is not worth it."""
    packed = gzip.compress(body, GZIP_LEVEL, mtime=0)
    return packed if len(packed) < WORTH_PACKING * len(body) else None
