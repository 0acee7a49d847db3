"""Hold the shell that every package is made from.

What a package needs is compiled once and kept beside its sources, in `mejiro_targets/android/apk`:
whoever makes a package needs neither Java nor an SDK. Who changes the sources runs
`python -m mejiro.apk.assembling`.
"""

from __future__ import annotations

import hashlib
import struct
from importlib import resources
from pathlib import Path

from mejiro.errors import ApkError

MANIFEST = "AndroidManifest.xml"
CODE = "classes.dex"
RESOURCES = "resources.arsc"
ADAPTIVE_ICON = "res/mipmap-anydpi-v26/icon.xml"
TEMPLATE_FILES = (MANIFEST, CODE, ADAPTIVE_ICON, RESOURCES)
MIN_SDK = 24
TARGET_SDK = 36
ACTIVITY = "org.mejiro.shell.PageActivity"
# What stands for the colour behind the icon, as a value of type colour (Res_value, ARGB).
_COLOUR = struct.Struct("<HBBI")
_PLACEHOLDER = _COLOUR.pack(8, 0, 0x1C, 0xFE010203)
# The path of the site among the assets, which the code knows too.
SITE = "assets/site"
# Where a site has the icon that it is installed with.
SITE_ICON = "icons/icon-512.png"

_MAX_FILE_BYTES = 1 << 20
_DEX = b"dex\n037\0"
_RESOURCE_TABLE = b"\x02\x00\x0c\x00"


def sources() -> Path:
    """Return the folder of the shell's sources."""
    return Path(str(resources.files("mejiro_targets"))) / "android" / "apk"


def picture_name(density: str) -> str:
    """Return where a package has the picture of its icon for a density of screens."""
    return f"res/mipmap-{density}-v4/picture.png"


def default_icon() -> bytes:
    """Return the PNG of the page's own icon."""
    return (sources().parent / "web" / SITE_ICON).read_bytes()


def read_template(folder: Path | None = None) -> dict[str, bytes]:
    """Return the compiled files by their names in a package.

    Raises ApkError if one is absent or damaged.
    """
    folder = folder if folder is not None else sources() / "template"
    files = {name: _read(folder, name) for name in TEMPLATE_FILES}
    code = files[CODE]
    # A dex file carries the SHA-1 of what follows it (dex format, header_item.signature).
    if code[:8] != _DEX or hashlib.sha1(code[32:], usedforsecurity=False).digest() != code[12:32]:
        raise ApkError(f"the template's {CODE} is damaged; install Mejiro again")
    table = files[RESOURCES]
    if table[:4] != _RESOURCE_TABLE or int.from_bytes(table[4:8], "little") != len(table):
        raise ApkError(f"the template's {RESOURCES} is damaged; install Mejiro again")
    return files


def with_background(table: bytes, colour: int) -> bytes:
    """Return a template's table of resources with the colour (ARGB) that lies behind the icon."""
    if table.count(_PLACEHOLDER) != 1:
        raise ApkError(f"the template's {RESOURCES} is damaged; install Mejiro again")
    return table.replace(_PLACEHOLDER, _COLOUR.pack(8, 0, 0x1C, colour))


def _read(folder: Path, name: str) -> bytes:
    try:
        data = (folder / name).read_bytes()
    except OSError:
        raise ApkError(f"the template has no {name}; install Mejiro again") from None
    if len(data) > _MAX_FILE_BYTES:
        raise ApkError(f"the template's {name} is damaged; install Mejiro again")
    return data
