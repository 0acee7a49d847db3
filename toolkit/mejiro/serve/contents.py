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

from mejiro.errors import ServeError
from mejiro.site import SITE_NAME, open_site
from mejiro_runtime.files import sha256_of

INDEX_FILE = "index.html"
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
    """Read the site in `folder` into memory; SiteError or SpecError if it is not as it says."""
    site = open_site(folder)
    if INDEX_FILE not in site.files:
        raise ServeError(f"the site {folder} has no {INDEX_FILE}; write it again")
    if site.size_bytes > MAX_BYTES:
        raise ServeError(
            f"the site {folder} has {site.size_bytes} bytes, and at most {MAX_BYTES} are served"
        )
    entries = {path: _read(folder, path, known.sha256) for path, known in site.files.items()}
    entries[SITE_NAME] = _read(folder, SITE_NAME, sha256_of(folder / SITE_NAME))
    return Contents(site.name, site.version, MappingProxyType(entries))


def _read(folder: Path, path: str, sha256: str) -> Entry:
    """Read a file that was checked; what is served under a hash has that hash all the same."""
    body = (folder / path).read_bytes()
    if hashlib.sha256(body).hexdigest() != sha256:
        raise ServeError(f"{path} of the site {folder} changes just now; try again")
    return Entry(path, body, sha256)


def pack(body: bytes) -> bytes | None:
    """Return `body` compressed by gzip, or None where that is not worth it."""
    packed = gzip.compress(body, GZIP_LEVEL, mtime=0)
    return packed if len(packed) < WORTH_PACKING * len(body) else None
