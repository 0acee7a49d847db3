"""Describe a site: the one file that says what a page's folder holds, and what must be in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.errors import SiteError
from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.errors import BundleError
from mejiro_runtime.fields import Fields, read_json
from mejiro_runtime.files import plain_files, sha256_of
from mejiro_runtime.manifest import FileEntry, check_relative

SITE_SCHEMA = 1
SITE_NAME = "site.json"
MAX_FILES = 2000
_AGAIN = "write it again with `mejiro bundle --target android-web`"


@dataclass(frozen=True)
class SiteModel:
    """Hold one model of a site: its card, with labels, and the file that the page runs.

    `file` may differ from the file that the card speaks of: see `convert`. `raw` is the whole entry
    of site.json, golden data included.
    """

    card: ArtifactCard
    file: str
    engine: str
    engine_version: str
    raw: dict[str, Any]


@dataclass(frozen=True)
class Site:
    """Hold an opened site: its folder, and what its site.json says.

    `files` lists every file but site.json; `version` names exactly these bytes.
    """

    folder: Path
    name: str
    title: str
    target: str
    version: str
    models: tuple[SiteModel, ...]
    files: dict[str, FileEntry]

    @property
    def size_bytes(self) -> int:
        """What all files weigh as they lie there, site.json not counted."""
        return sum(entry.size_bytes for entry in self.files.values())


def version_of(files: Mapping[str, FileEntry]) -> str:
    """Return 16 hexadecimal digits that name these files: a hash over their paths and hashes."""
    digest = hashlib.sha256()
    for path, entry in sorted(files.items()):
        digest.update(f"{entry.sha256}  {path}\n".encode())
    return digest.hexdigest()[:16]


def list_files(folder: Path) -> dict[str, FileEntry]:
    """Return every file below `folder` but its site.json; SiteError for anything but a file."""
    found = {}
    for path in sorted(plain_files(folder, _not_plain)):
        if path != SITE_NAME:
            file = folder / path
            found[path] = FileEntry(file.stat().st_size, sha256_of(file))
    return found


def _not_plain(path: str) -> SiteError:
    return SiteError(f"{path} is a link or a device, not a plain file; {_AGAIN}")


def open_site(folder: Path) -> Site:
    """Verify the site in `folder`, every byte of it, and return it.

    Raises SiteError if the folder is no site, a path leaves it, or a file is altered, missing or
    added; SpecError for a site.json that is not well formed.
    """
    path = folder / SITE_NAME
    if path.is_symlink() or not path.is_file():
        raise SiteError(
            f"{folder} has no {SITE_NAME}, so it is no site; "
            "write one with `mejiro bundle ARTIFACT --target android-web --out FOLDER`"
        )
    site = read_site(folder, read_json(path))
    found = set(plain_files(folder, _not_plain)) - {SITE_NAME}
    if missing := sorted(set(site.files) - found):
        raise SiteError(f"the site {folder} lacks {', '.join(missing[:5])}; {_AGAIN}")
    if added := sorted(found - set(site.files)):
        raise SiteError(
            f"the site {folder} holds {', '.join(added[:5])}, which its {SITE_NAME} does not list; "
            f"remove that, or {_AGAIN}"
        )
    for name, entry in sorted(site.files.items()):
        file = folder / name
        if file.stat().st_size != entry.size_bytes or sha256_of(file) != entry.sha256:
            raise SiteError(f"{name} of the site {folder} has been altered; {_AGAIN}")
    return site


def read_site(folder: Path, value: Any) -> Site:
    """Read what a site.json says of `folder`, and look at no file; later fields are passed over.

    Raises SiteError or SpecError.
    """
    fields = Fields(value, SITE_NAME)
    schema = fields.integer("schema")
    if schema != SITE_SCHEMA:
        raise SiteError(
            f"{folder} has a {SITE_NAME} of schema {schema}, this version reads {SITE_SCHEMA}; "
            "upgrade mejiro, or write the site again"
        )
    listed = fields.mapping("files")
    if len(listed) > MAX_FILES:
        raise SiteError(f"{folder} lists {len(listed)} files, at most {MAX_FILES} are expected")
    files = {_inside(path): _entry(path, entry) for path, entry in listed.items()}
    site = Site(
        folder=folder,
        name=fields.text("name"),
        title=fields.text("title"),
        target=fields.text("target"),
        version=fields.text("version"),
        models=tuple(_model(entry, files) for entry in fields.items("models")),
        files=files,
    )
    if not site.models:
        raise SiteError(f"the site {folder} has no model; {_AGAIN}")
    if site.version != version_of(files):
        raise SiteError(f"the version of the site {folder} is not that of its files; {_AGAIN}")
    return site


def _model(value: Any, files: Mapping[str, FileEntry]) -> SiteModel:
    fields = Fields(value, "model of a site")
    model = SiteModel(
        card=ArtifactCard.from_json(fields.mapping("card")),
        file=fields.text("file"),
        engine=fields.text("engine"),
        engine_version=fields.text("engine_version"),
        raw=dict(value),
    )
    golden = Fields(fields.mapping("golden"), "golden data of a site").text("file")
    for path in (model.file, golden):
        if path not in files:
            raise SiteError(f"{SITE_NAME} speaks of {path} but does not list it; {_AGAIN}")
    if files[model.file].sha256 != fields.text("sha256"):
        raise SiteError(f"{SITE_NAME} contradicts itself about {model.file}; {_AGAIN}")
    return model


def _entry(path: str, value: Any) -> FileEntry:
    fields = Fields(value, f"file '{path}' of a site")
    return FileEntry(size_bytes=fields.integer("size_bytes"), sha256=fields.text("sha256"))


def _inside(path: str) -> str:
    try:
        return check_relative(path)
    except BundleError as error:
        raise SiteError(str(error).replace("the bundle", "the site", 1)) from None
