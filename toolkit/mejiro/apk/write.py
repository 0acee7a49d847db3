"""Pack a site into an Android package: the shell's files, the site among its assets, signatures."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mejiro.apk import template
from mejiro.apk.archive import Member, write_archive
from mejiro.apk.icon import background_of, draw_sizes, read_icon
from mejiro.apk.keys import Key
from mejiro.apk.manifest import MAX_BYTES as MAX_MANIFEST_BYTES
from mejiro.apk.manifest import Identity, read_identity, write_identity
from mejiro.apk.options import ApkOptions, label_of, package_of
from mejiro.apk.signing import sign_package
from mejiro.apk.verifying import verify_apk, verify_package
from mejiro.errors import ApkError, UsageError
from mejiro.site import SITE_NAME, open_site
from mejiro_runtime.files import replacing

# Half of what a zip file can hold, and more than any phone would load.
MAX_SITE_BYTES = 1 << 30
# What an app has no use for: its files are there without a network, and no WebView is cross-origin
# isolated, so that none runs more than one thread.
LEFT_OUT = ("sw.js", "engine/litert/litert_wasm_threaded_internal.")


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

    Label and package come from the site's title and name unless `options` say them. The same site,
    options and RSA key give the same bytes. What was written is verified before it is named `out`.
    Raises SiteError for what is no site, UsageError for what cannot be packed as asked, ApkError
    for a broken template.
    """
    opened = open_site(site)
    if opened.size_bytes > MAX_SITE_BYTES:
        raise UsageError(f"{site} has {opened.size_bytes} bytes; a package holds {MAX_SITE_BYTES}")
    identity = Identity(
        package=options.package if options.package is not None else package_of(opened.name),
        label=options.label if options.label is not None else label_of(opened.title),
        version_code=options.version_code,
        version_name=options.version_name,
    )
    icon = read_icon(options.icon) if options.icon is not None else _icon_of(site)
    names = [name for name in sorted({*opened.files, SITE_NAME}) if not name.startswith(LEFT_OUT)]
    data = pack(identity, icon, {name: site / name for name in names}, options.key)
    verified = verify_package(data)
    with replacing(out) as beside:
        beside.write_bytes(data)
    return Apk(out, len(data), identity, verified.fingerprint)


def pack(identity: Identity, icon: bytes, files: Mapping[str, Path], key: Key) -> bytes:
    """Return the signed package of an app that shows `files`, a page's by their paths in it.

    `icon` is a square PNG. Raises ApkError for a broken template, or a path that an app refuses.
    """
    assets = [Member(_asset_name(name), path) for name, path in files.items()]
    with tempfile.TemporaryDirectory() as folder:
        unsigned = Path(folder) / "unsigned.apk"
        write_archive(unsigned, [*_shell(identity, icon), *assets])
        return sign_package(unsigned.read_bytes(), key)


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


def _icon_of(site: Path) -> bytes:
    own = site / template.SITE_ICON
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


def _asset_name(name: str) -> str:
    """Return where a package has a file of the site; ApkError for a name that the app refuses."""
    if ".." in name or "\\" in name or not name.isprintable():
        raise ApkError(f"the site's file {name!r} has a name that an app cannot open")
    return str(PurePosixPath(template.SITE) / name)
