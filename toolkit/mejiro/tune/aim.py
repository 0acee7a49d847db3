"""Say what all trials of a study have in common, so that no other one joins it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mejiro.data.dataset import Dataset
from mejiro.errors import UsageError
from mejiro.train.folder import hash_pictures
from mejiro.tune.space import Space
from mejiro_runtime.files import sha256_of

_SHOWN = 16  # hexadecimal digits
_DATA, _MODEL, _SEARCH = "the data", "the model", "a search of"
NOTHING = "nothing"
_HASHED = re.compile(rf" \(([0-9a-f]{{{_SHOWN}}})\)$")
# What decides a network that lies on disk: a model folder, a run's, or a SavedModel.
_DECIDING = ("model/model.keras", "model.keras", "saved_model.pb", "variables/*")


def make_aim(
    dataset: Dataset, model: str, space: Space, options: Mapping[str, Any]
) -> dict[str, str]:
    """Return what trials of a study share, in words: data, model, space, and the `options`.

    Pictures and model files count by their content, not by where they lie.
    """
    return {
        _DATA: f"{dataset.name} ({hash_pictures(dataset)[:_SHOWN]})",
        _MODEL: _model(model),
        **{f"{_SEARCH} {name}": text for name, text in space.words().items()},
        **{name: _word(value) for name, value in options.items()},
    }


def check_aim(where: str, kept: Mapping[str, Any], ours: Mapping[str, str]) -> None:
    """Raise UsageError, naming the first difference, unless both aims are the same."""
    for name in {**ours, **kept}:
        before, found = kept.get(name, NOTHING), ours.get(name, NOTHING)
        if _content(str(before)) != _content(found):
            raise UsageError(
                f"{where} was begun with {name} {before}, found {found}; give the same, or begin "
                "another study with another --out"
            )


def named_data(aim: Mapping[str, str]) -> str:
    """Return the name of the data."""
    return _HASHED.sub("", aim[_DATA])


def named_model(aim: Mapping[str, str]) -> str:
    """Return the name of the model."""
    return _HASHED.sub("", aim[_MODEL])


def options_of(aim: Mapping[str, str]) -> dict[str, str]:
    """Return what is neither searched nor left as nothing, by name."""
    return {
        name: text for name, text in aim.items() if text != NOTHING and not name.startswith(_SEARCH)
    }


def _content(text: str) -> str:
    """Return the hash in `text`, if it has one: what a folder is called decides nothing."""
    hashed = _HASHED.search(text)
    return hashed[1] if hashed else text


def _model(model: str) -> str:
    """Return a model's name, or its file's name and content."""
    path = Path(model)
    if not path.exists():
        return model
    digest = hashlib.sha256()
    for file in _files(path):
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return f"{path.resolve().name} ({digest.hexdigest()[:_SHOWN]})"


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for pattern in _DECIDING:
        yield from sorted(file for file in path.glob(pattern) if file.is_file())


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(entry) for entry in value) or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value is None else str(value)
