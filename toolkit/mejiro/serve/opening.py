"""Open what a user names: a site, or a bundle, of which a site is made for the moment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mejiro.errors import UsageError
from mejiro.serve.contents import Contents, read_contents
from mejiro.site import SITE_NAME, write_site


@contextmanager
def opened_site(path: Path) -> Iterator[Path]:
    """Give the folder of a site: `path` itself, or one made of the bundle there, for a while."""
    if not path.exists():
        raise UsageError(f"{path} does not exist; name the folder of a site or a bundle")
    if not path.is_dir():
        raise UsageError(f"{path} is no folder; name that of a site or a bundle")
    if (path / SITE_NAME).exists():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mejiro-site-") as folder:
        site = Path(folder) / (path.resolve().name or "site")
        write_site(path, site)
        yield site


def open_contents(path: Path) -> Contents:
    """Return what is served of a site or of a bundle's folder."""
    with opened_site(path) as site:
        return read_contents(site)
