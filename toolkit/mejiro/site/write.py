"""Write a site: the page, its engine, the models, and what the models must answer."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from mejiro.bundle.write import folder_beside
from mejiro.errors import SiteError, UsageError
from mejiro.model import Artifact
from mejiro.site.convert import make_served
from mejiro.site.description import (
    SITE_NAME,
    SITE_SCHEMA,
    Site,
    list_files,
    open_site,
    version_of,
)
from mejiro.site.engines import ENGINES, read_vendor, unpack_engine, vendor_folder
from mejiro.site.golden import pack_golden
from mejiro.site.options import SiteOptions
from mejiro.site.sources import Model, models_of_artifacts, models_of_bundle
from mejiro_runtime._version import __version__
from mejiro_runtime.fields import CONTROL_CHARACTERS
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.preprocess import TensorInfo

WEB_TARGET = "android-web"
MANIFEST_TEMPLATE = "app.webmanifest"
MODEL_FOLDER = "model"
MAX_TITLE = 80
# What a home screen has room for.
SHORT_NAME = 12


def write_site(
    source: Sequence[Artifact] | Path,
    out: Path,
    *,
    options: SiteOptions | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Site:
    """Write the site of exported files, or of the bundle in a folder, to the folder `out`.

    Of a model in both formats the TFLite file is taken. The same files give the same bytes. The
    folder appears whole or not at all. `on_progress` gets a sentence before each stage. Raises
    UsageError if `out` exists or the files do not go together, SiteError for a model that no page
    can run, BundleError for a bundle that is not whole.
    """
    options = options or SiteOptions()
    tell = on_progress or (lambda text: None)
    _check_free(out, replace=options.replace)
    name = options.name or out.resolve().name
    title = _checked_title(options.title or name)
    models = _models(source, options, tell)
    with folder_beside(out, replace=options.replace) as beside:
        _write_page(beside, title)
        (beside / MODEL_FOLDER).mkdir()
        entries = []
        versions = _unpack_engines(beside, models, tell)
        for model in models:
            tell(f"writing {model.card.file}")
            entries.append(_write_model(beside, model, versions, single=len(models) == 1))
        files = list_files(beside)
        site = {
            "schema": SITE_SCHEMA,
            "name": name,
            "title": title,
            "made_by": f"mejiro {__version__}",
            "target": WEB_TARGET,
            "models": entries,
            "files": {
                path: {"size_bytes": entry.size_bytes, "sha256": entry.sha256}
                for path, entry in files.items()
            },
            "version": version_of(files),
        }
        write_json(beside / SITE_NAME, site)
        tell("verifying the site")
        open_site(beside)
    return open_site(out)


def _models(
    source: Sequence[Artifact] | Path, options: SiteOptions, tell: Callable[[str], None]
) -> list[Model]:
    if isinstance(source, Path):
        return models_of_bundle(source, options)
    return models_of_artifacts(source, options, tell)


def _checked_title(title: str) -> str:
    if not title or len(title) > MAX_TITLE or CONTROL_CHARACTERS.search(title):
        raise UsageError(f"a page's title is a line of at most {MAX_TITLE} characters")
    return title


def _check_free(out: Path, *, replace: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not replace:
        raise UsageError(f"{out} exists already; name another folder, or pass --replace")
    if out.is_symlink() or not (out / SITE_NAME).is_file():
        raise UsageError(f"{out} is not a site, so it is not replaced; name another folder")


def web_folder() -> Path:
    """Return the folder of the page's sources."""
    return Path(str(resources.files("mejiro_targets"))) / "android" / "web"


def _write_page(folder: Path, title: str) -> None:
    """Copy the page's sources, and fill its manifest in."""
    shutil.copytree(web_folder(), folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    manifest = folder / MANIFEST_TEMPLATE
    if manifest.is_file():
        template = string.Template(manifest.read_text(encoding="utf-8"))
        values = {"name": title, "short_name": title[:SHORT_NAME].strip()}
        text = template.substitute({key: _in_json(value) for key, value in values.items()})
        manifest.write_text(text, encoding="utf-8")


def _in_json(text: str) -> str:
    """Return `text` as it stands between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _unpack_engines(
    folder: Path, models: Sequence[Model], tell: Callable[[str], None]
) -> dict[str, str]:
    """Unpack the engines that the models need; return the version of each."""
    vendor = vendor_folder()
    archives = read_vendor(vendor)
    versions = {}
    for engine in sorted({ENGINES[model.card.format] for model in models}):
        tell(f"unpacking {engine}")
        unpack_engine(archives[engine], folder, vendor=vendor)
        versions[engine] = archives[engine].version
    return versions


def _write_model(
    folder: Path, model: Model, versions: dict[str, str], *, single: bool
) -> dict[str, Any]:
    """Write the served file and the golden data of one model; return its entry in site.json."""
    card = model.card
    engine = ENGINES[card.format]
    served = make_served(model.path, card, model.golden.inputs)
    file = f"{MODEL_FOLDER}/{served.name}"
    path = folder / file
    if path.exists():
        raise SiteError(f"two models of the site would be {file}; rename one of their files")
    path.write_bytes(served.data)
    golden_file = f"{MODEL_FOLDER}/golden.bin" if single else f"{file}.golden.bin"
    data, golden = pack_golden(card, engine, model.golden)
    (folder / golden_file).write_bytes(data)
    return {
        "card": card.to_json(),
        "file": file,
        "sha256": sha256_of(path),
        "size_bytes": len(served.data),
        "engine": engine,
        "engine_version": versions[engine],
        "inputs": [_end(info) for info in served.inputs],
        "outputs": [_end(info) for info in served.outputs],
        "notes": list(served.notes),
        "golden": {
            "file": golden_file,
            "size_bytes": len(data),
            "sha256": sha256_of(folder / golden_file),
            **golden,
        },
    }


def _end(info: TensorInfo) -> dict[str, Any]:
    quantization = info.quantization
    return {
        "name": info.name,
        "shape": list(info.shape),
        "dtype": info.dtype,
        "quantization": quantization and quantization._asdict(),
    }
