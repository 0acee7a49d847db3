"""Unpack the engines that pages run models with, as they were packed from npm."""

from __future__ import annotations

import hashlib
import sys
import tarfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from mejiro.errors import SiteError
from mejiro_runtime.card import Format
from mejiro_runtime.fields import Fields
from mejiro_runtime.files import sha256_of
from mejiro_runtime.manifest import FileEntry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VENDOR_SCHEMA = 1
VENDOR_NAME = "vendor.toml"
LICENSES_FOLDER = "LICENSES"
# Format of a model's file -> the engine that runs it, and its folder below engine/.
ENGINES = {Format.TFLITE: "litert.js", Format.ONNX: "onnxruntime-web"}
FOLDERS = {"litert.js": "litert", "onnxruntime-web": "onnxruntime"}
MAX_UNPACKED_BYTES = 256 << 20
_AGAIN = "install mejiro again"


@dataclass(frozen=True)
class NpmSource:
    """Name a package of npm that an archive was packed from, with the hash that npm states."""

    name: str
    version: str
    integrity: str
    license: str


@dataclass(frozen=True)
class Archive:
    """Describe one archive of vendor.toml: its bytes, and each file in it.

    `changed` are the files that are not as npm has them; each says at its top what was changed.
    """

    file: str
    engine: str
    version: str
    sha256: str
    licenses: tuple[str, ...]
    packages: tuple[NpmSource, ...]
    members: dict[str, FileEntry]
    changed: tuple[str, ...]


def vendor_folder() -> Path:
    """Return the folder of the archives and their list."""
    return Path(str(resources.files("mejiro_targets"))) / "android" / "vendor"


def read_vendor(folder: Path) -> dict[str, Archive]:
    """Return the archives that the vendor.toml of `folder` lists, by engine; SpecError if wrong."""
    path = folder / VENDOR_NAME
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SiteError(f"{path} cannot be read: {error}; {_AGAIN}") from None
    fields = Fields(value, VENDOR_NAME)
    if fields.integer("schema") != VENDOR_SCHEMA:
        raise SiteError(f"{path} is of another schema than {VENDOR_SCHEMA}; {_AGAIN}")
    archives = [_archive(entry) for entry in fields.items("archive")]
    fields.finish()
    return {archive.engine: archive for archive in archives}


def _archive(value: object) -> Archive:
    fields = Fields(value, f"archive of {VENDOR_NAME}")
    members, changed = {}, []
    for entry in fields.items("member"):
        inner = Fields(entry, f"member of {VENDOR_NAME}")
        path = inner.text("path")
        if PurePosixPath(path).name != path:
            raise SiteError(f"{VENDOR_NAME} names '{path}', which is no plain name; {_AGAIN}")
        members[path] = FileEntry(inner.integer("size_bytes"), inner.text("sha256"))
        changed += [path] * inner.flag("changed", False)
        inner.finish()
    archive = Archive(
        file=fields.text("file"),
        engine=fields.text("engine"),
        version=fields.text("version"),
        sha256=fields.text("sha256"),
        licenses=tuple(str(name) for name in fields.items("licenses")),
        packages=tuple(_package(entry) for entry in fields.items("package")),
        members=members,
        changed=tuple(changed),
    )
    fields.finish()
    return archive


def _package(value: object) -> NpmSource:
    fields = Fields(value, f"package of {VENDOR_NAME}")
    names = ("name", "version", "integrity", "license")
    package = NpmSource(*[fields.text(name) for name in names])
    fields.finish()
    return package


def unpack_engine(archive: Archive, site: Path, *, vendor: Path) -> None:
    """Write the files of `archive` to engine/ of the folder `site`, and its licences to LICENSES/.

    Each file is checked while it is read, and what vendor.toml does not list is refused. Raises
    SiteError.
    """
    path = vendor / archive.file
    if sha256_of(path) != archive.sha256:
        raise SiteError(f"{path} has been altered: its checksum is another; {_AGAIN}")
    if sum(entry.size_bytes for entry in archive.members.values()) > MAX_UNPACKED_BYTES:
        raise SiteError(f"{path} would unpack to more than {MAX_UNPACKED_BYTES} bytes; {_AGAIN}")
    folder = site / "engine" / FOLDERS[archive.engine]
    folder.mkdir(parents=True)
    left = dict(archive.members)
    try:
        with tarfile.open(path, mode="r|xz") as stream:
            for member in stream:
                entry = left.pop(member.name, None)
                _unpack(stream, member, entry, folder, path)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise SiteError(f"{path} cannot be unpacked: {error}; {_AGAIN}") from None
    if left:
        raise SiteError(f"{path} lacks {', '.join(sorted(left))}; {_AGAIN}")
    (site / LICENSES_FOLDER).mkdir(exist_ok=True)
    for name in archive.licenses:
        data = (vendor / "licenses" / PurePosixPath(name).name).read_bytes()
        (site / LICENSES_FOLDER / PurePosixPath(name).name).write_bytes(data)


def _unpack(
    stream: tarfile.TarFile,
    member: tarfile.TarInfo,
    entry: FileEntry | None,
    folder: Path,
    path: Path,
) -> None:
    """Write one member of an archive to `folder`, whose list gives it as `entry`."""
    if entry is None or not member.isreg() or member.size != entry.size_bytes:
        raise SiteError(f"{path} holds '{member.name}' other than its list has it; {_AGAIN}")
    source = stream.extractfile(member)
    data = source.read() if source is not None else b""
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise SiteError(f"{member.name} of {path} is not what its list says; {_AGAIN}")
    (folder / member.name).write_bytes(data)
