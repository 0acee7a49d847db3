"""Say what may be chosen about a site."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SiteOptions:
    """Hold what may be chosen about a site.

    `name` defaults to that of the folder it is written to, and `title`, what the page shows, to the
    name. `golden` is a folder of pictures for the golden frames of exported files; a bundle brings
    its own. `replace` allows an existing site to be replaced.
    """

    name: str | None = None
    title: str | None = None
    golden: Path | None = None
    replace: bool = False
