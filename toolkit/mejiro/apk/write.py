"""Pack a site into an Android package: the shell's files, the site among its assets, signatures."""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mejiro.apk import template
from mejiro.apk.archive import Member, write_archive
from mejiro.apk.icon import background_of, draw_sizes, read_icon
from mejiro.apk.manifest import MAX_BYTES as MAX_MANIFEST_BYTES
from mejiro.apk.manifest import Identity, read_identity, write_identity
from mejiro.apk.options import ApkOptions, label_of, package_of
from mejiro.apk.signing import sign_package
from mejiro.apk.verifying import verify_apk, verify_package
from mejiro.errors import ApkError, UsageError
from mejiro_runtime.files import replacing

# Half of what a zip file can hold, and more than any phone would load.
MAX_SITE_BYTES = 1 << 30
SITE_JSON = "site.json"
MAX_JSON_BYTES = 16 << 20
SITE_ICON = "icons/icon-512.png"
# A site's own files that an app has no use for: its assets are there without a network.
LEFT_OUT = frozenset({"sw.js"})


@dataclass(frozen=True)
class Apk:
    """Say what was written: `component` is what `am start -n` launches."""

    path: Path
    size_bytes: int
    identity: Identity
    fingerprint: str  # SHA-256 of the certificate

    @property
    def component(self) -> str:
        """Return the name of the app's screen to Android."""
        return f"{self.identity.package}/{template.ACTIVITY}"


def write_apk(site: Path, out: Path, options: ApkOptions) -> Apk:
    """Write the package of the site in the folder `site`, whole or not at all.

    Label and package come from the site's name unless `options` say them. The same site, options
    and RSA key give the same bytes. What was written is verified before it is named `out`. Raises
    UsageError for what cannot be packed as asked, ApkError for a broken template.
    """
    name = _name_of(site)
    identity = Identity(
        package=options.package if options.package is not None else package_of(name),
        label=options.label if options.label is not None else label_of(name),
        version_code=options.version_code,
        version_name=options.version_name,
    )
    files = _site_files(site)
    icon = read_icon(options.icon) if options.icon is not None else _icon_of(site)
    members = [*_shell(identity, icon), *files]
    with tempfile.TemporaryDirectory() as folder:
        unsigned = Path(folder) / "unsigned.apk"
        write_archive(unsigned, members)
        data = sign_package(unsigned.read_bytes(), options.key)
    verified = verify_package(data)
    with replacing(out) as beside:
        beside.write_bytes(data)
    return Apk(out, len(data), identity, verified.fingerprint)


def open_apk(path: Path) -> Apk:
    """Return what a package says of itself; ApkError if its signatures do not hold."""
    verified = verify_apk(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(template.MANIFEST)
            if entry.file_size > MAX_MANIFEST_BYTES:
                raise ApkError(f"{path} has a manifest of {entry.file_size} bytes")
            identity = read_identity(archive.read(entry))
    except (zipfile.BadZipFile, KeyError, zlib.error, NotImplementedError, EOFError):
        raise ApkError(f"{path} has no manifest that can be read") from None
    return Apk(path, path.stat().st_size, identity, verified.fingerprint)


def _name_of(site: Path) -> str:
    """Return the name in a site's description, or its folder's where it has none."""
    path = site / SITE_JSON
    if not path.is_file():
        return site.resolve().name
    if path.stat().st_size > MAX_JSON_BYTES:
        raise UsageError(f"{path} is larger than {MAX_JSON_BYTES} bytes; it describes no site")
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["name"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(f"{path} does not say the site's name; write the site again") from None
    if not isinstance(name, str) or not name:
        raise UsageError(f"{path} does not say the site's name; write the site again")
    return name


def _icon_of(site: Path) -> bytes:
    own = site / SITE_ICON
    return read_icon(own) if own.is_file() else template.default_icon()


def _shell(identity: Identity, icon: bytes) -> list[Member]:
    """Return the app's own files, in the order that Android's tools write them."""
    files = template.read_template()
    files[template.MANIFEST] = write_identity(files[template.MANIFEST], identity)
    files[template.RESOURCES] = template.with_background(
        files[template.RESOURCES], background_of(icon)
    )
    pictures = {
        template.picture_name(density): picture for density, picture in draw_sizes(icon).items()
    }
    return [Member(name, data) for name, data in {**files, **pictures}.items()]


def _site_files(site: Path) -> list[Member]:
    """Return the site's files by name; UsageError if it is none, or leads out of its folder."""
    if not (site / "index.html").is_file():
        raise UsageError(f"{site} is no site: it has no index.html; `mejiro bundle` writes one")
    members = []
    total = 0
    for path in sorted(site.rglob("*")):
        if path.is_symlink():
            raise UsageError(f"{path} is a link; a package holds files alone")
        if path.is_dir() or path.relative_to(site).as_posix() in LEFT_OUT:
            continue
        total += path.stat().st_size
        members.append(Member(_asset_name(path.relative_to(site).as_posix()), path))
    if total > MAX_SITE_BYTES:
        raise UsageError(f"{site} has {total} bytes; a package holds {MAX_SITE_BYTES} at most")
    return members


def _asset_name(name: str) -> str:
    """Return where a package has a file of the site; ApkError for a name that the app refuses."""
    if ".." in name or "\\" in name or not name.isprintable():
        raise ApkError(f"the site's file {name!r} has a name that an app cannot open")
    return str(PurePosixPath(template.SITE) / name)
