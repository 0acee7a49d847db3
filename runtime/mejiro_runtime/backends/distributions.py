"""Find the versions of installed distributions."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path


def version_of(distribution: str, *, module: str) -> str | None:
    """Return the installed version of `distribution`, which brings `module`; None if absent.

    Neither is imported. The folder NAME-VERSION.dist-info beside the module says the version
    (Python Packaging User Guide, "Recording installed projects"); importlib.metadata, which
    would take a fifth of a program's start, is asked only where there is no such folder.
    """
    found = importlib.util.find_spec(module)
    if found is None:
        return None
    if found.origin is not None:
        escaped = re.sub(r"[-_.]+", "_", distribution)
        folders = list(Path(found.origin).parents[1].glob(f"{escaped}-*.dist-info"))
        if len(folders) == 1:
            return folders[0].name.removesuffix(".dist-info").rpartition("-")[2]
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
