"""Write bundles as apps: targets where no Python runs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mejiro.cli.bundling_apk import ApkWishes, check_out, print_apk
from mejiro.cli.console import print_json, progress, say
from mejiro.errors import UsageError
from mejiro.model import Artifact
from mejiro.targets import AppForm, AppTarget
from mejiro_runtime.manifest import MANIFEST_NAME


@dataclass(frozen=True)
class AppRequest:
    """Hold what the command line says of an app; `paths` are exported files or one bundle."""

    paths: tuple[Path, ...]
    out: Path
    name: str | None
    title: str | None
    golden: Path | None
    replace: bool
    as_json: bool
    apk: ApkWishes

    def source(self) -> Sequence[Artifact] | Path:
        """Return the bundle's folder, or the exported files; UsageError for a mixture."""
        folders = [path for path in self.paths if path.is_dir()]
        if not folders:
            return [Artifact.open(path) for path in self.paths]
        if len(self.paths) > 1:
            raise UsageError("give exported files, or one bundle's folder alone")
        if not (folders[0] / MANIFEST_NAME).is_file():
            raise UsageError(
                f"{folders[0]} is no bundle's folder; give one that `mejiro bundle` wrote, or files"
            )
        return folders[0]


def write_app(target: AppTarget, request: AppRequest) -> None:
    """Write what was asked for in the form of the target."""
    APPS[target.form](target, request)


def _write_site(target: AppTarget, request: AppRequest) -> None:
    from mejiro.site import SiteOptions, write_site

    request.apk.refuse_for(target.name)
    with progress() as shown:
        site = write_site(
            request.source(),
            request.out,
            options=SiteOptions(request.name, request.title, request.golden, request.replace),
            on_progress=shown.stage,
        )
    if request.as_json:
        files = {path: entry._asdict() for path, entry in site.files.items()}
        print_json(
            {
                "site": str(request.out),
                "target": target.name,
                "name": site.name,
                "title": site.title,
                "version": site.version,
                "size_bytes": site.size_bytes,
                "models": [model.raw for model in site.models],
                "files": files,
            }
        )
        return
    say(f"{request.out}: {len(site.files)} files, {site.size_bytes / 1e6:.1f} MB")
    for model in site.models:
        say(f"  {model.file} in {model.engine} {model.engine_version}")
        for note in model.raw.get("notes", []):
            say(f"  note: {note}")
    say(f"Never run on a phone yet; here: mejiro serve {request.out}")


def _write_apk(target: AppTarget, request: AppRequest) -> None:
    """Write the site to a folder that goes away, or take one that is there, and pack it."""
    from mejiro.apk import write_apk
    from mejiro.site import SITE_NAME, SiteOptions, write_site

    check_out(request.out, replace=request.replace)
    ready = len(request.paths) == 1 and (request.paths[0] / SITE_NAME).is_file()
    if ready and (request.name or request.title or request.golden):
        raise UsageError(f"{request.paths[0]} is a site; --name, --title and --golden make one")
    options = request.apk.options()  # before the site: a key that does not open wastes no time
    with tempfile.TemporaryDirectory() as folder, progress() as shown:
        if ready:
            site = request.paths[0]
        else:
            name = request.name or request.out.stem
            title = request.title or request.apk.label
            site = Path(folder) / "site"
            write_site(
                request.source(),
                site,
                options=SiteOptions(name, title, request.golden),
                on_progress=shown.stage,
            )
        shown.stage("packing and signing")
        written = write_apk(site, request.out, options)
    print_apk(written, target.name, as_json=request.as_json)


APPS: dict[AppForm, Callable[[AppTarget, AppRequest], None]] = {
    AppForm.FOLDER: _write_site,
    AppForm.APK: _write_apk,
}
