"""Write a site: the page, an engine, a model, and what the model must answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mejiro.errors import SiteError
from mejiro.model import Artifact
from mejiro.site.description import Site
from mejiro.site.options import SiteOptions


def write_site(
    source: Sequence[Artifact] | Path,
    out: Path,
    *,
    options: SiteOptions | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Site:
    """Write the site of exported files, or of the bundle in a folder, to the folder `out`.

    The same files give the same bytes. The folder appears whole or not at all.
    """
    raise SiteError("sites cannot be written yet")
