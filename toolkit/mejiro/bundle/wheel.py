"""Pack the installed runtime into a wheel again, so that a bundle can carry it.

The wheel is made from the very modules that scored the artifacts, whether they were installed
from a wheel or in editable mode; no build tool and no network take part. Docstrings and comments
stay here: see `mejiro.bundle.slim`. The format is that of
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import base64
import hashlib
from importlib import metadata
from pathlib import Path

import mejiro_runtime
from mejiro.bundle.archive import write_zip
from mejiro.bundle.slim import slim_source
from mejiro.errors import MejiroError
from mejiro_runtime._version import __version__

_DISTRIBUTION = "mejiro-runtime"
_TAG = "py3-none-any"
# What the package is made of; anything else in its folder (caches, editor files) stays out.
_SUFFIXES = frozenset({".css", ".html", ".js", ".py", ".svg", ".typed"})


def write_runtime_wheel(folder: Path) -> Path:
    """Write the runtime's wheel into `folder` and return its path; same sources, same bytes.

    Raises MejiroError if the runtime is imported from a folder where it is not installed.
    """
    try:
        distribution = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise MejiroError(
            f"{_DISTRIBUTION} is imported but not installed, so its metadata is unknown; "
            "install it with pip, editable or not"
        ) from None
    if distribution.version != __version__:
        raise MejiroError(
            f"{_DISTRIBUTION} {distribution.version} is installed but {__version__} is imported; "
            f"install {_DISTRIBUTION} again"
        )
    root = Path(mejiro_runtime.__file__).parent
    members = {
        f"{root.name}/{path.relative_to(root).as_posix()}": _content(path)
        for path in sorted(root.rglob("*"))
        if path.suffix in _SUFFIXES and path.is_file()
    }
    info = f"mejiro_runtime-{__version__}.dist-info"
    for name in ("METADATA", "entry_points.txt"):
        text = distribution.read_text(name)
        if text is None:
            raise MejiroError(f"{_DISTRIBUTION} is installed without {name}; install it again")
        members[f"{info}/{name}"] = text.encode("utf-8")
    wheel = (
        f"Wheel-Version: 1.0\nGenerator: mejiro {__version__}\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
    )
    members[f"{info}/WHEEL"] = wheel.encode("ascii")
    record = "".join(f"{name},{_digest(data)},{len(data)}\n" for name, data in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = folder / f"mejiro_runtime-{__version__}-{_TAG}.whl"
    write_zip(path, members)
    return path


def _content(path: Path) -> bytes:
    """Return what the wheel holds of a file."""
    data = path.read_bytes()
    return slim_source(data.decode("utf-8")).encode("utf-8") if path.suffix == ".py" else data


def _digest(data: bytes) -> str:
    """Return the hash as RECORD has it: URL-safe base64 without padding."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={digest.decode('ascii')}"
