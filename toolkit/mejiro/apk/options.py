"""Say what a package is to be: its name to Android, to its user, its version, its icon."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from mejiro.apk.keys import Key
from mejiro.errors import UsageError

# Android's rule for an application ID: two parts or more, each a letter and then letters, digits
# and underscores. Java's words are left to the user: no class is named by them.
_PACKAGE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z][a-zA-Z0-9_]*)+")
_VERSION_NAME = re.compile(r"[\x21-\x7e]{1,64}")
MAX_PACKAGE = 127  # of the folders that Android names by it
MAX_LABEL = 50
MAX_VERSION_CODE = 2_100_000_000  # the highest that shops of apps take
DEFAULT_PREFIX = "org.mejiro.app"


@dataclass(frozen=True)
class ApkOptions:
    """Say what a package is to be and who signs it; None stands for what the site's name gives.

    Android takes as an update what has the same `package` and key and no lower `version_code`.
    """

    key: Key
    label: str | None = None
    package: str | None = None
    icon: Path | None = None
    version_code: int = 1
    version_name: str = "1.0"

    def __post_init__(self) -> None:
        if self.label is not None:
            check_label(self.label)
        if self.package is not None:
            check_package(self.package)
        if not 1 <= self.version_code <= MAX_VERSION_CODE:
            raise UsageError(
                f"version code {self.version_code} is none; use 1 to {MAX_VERSION_CODE}, "
                "higher for each version"
            )
        if not _VERSION_NAME.fullmatch(self.version_name):
            raise UsageError(
                f"version name {self.version_name!r} is none; use 1 to 64 letters, digits and signs"
            )


def check_label(label: str) -> None:
    """Raise UsageError for what cannot stand under an icon."""
    shown = [unicodedata.category(character) for character in label]
    # Control characters, surrogates and what has no place yet; joiners (Cf) are part of writing.
    if any(category in {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"} for category in shown):
        raise UsageError(f"label {label!r} has characters that cannot be shown")
    if not label.strip() or label != label.strip() or len(label) > MAX_LABEL:
        raise UsageError(
            f"label {label!r} is none; use 1 to {MAX_LABEL} characters, no space around them"
        )


def check_package(package: str) -> None:
    """Raise UsageError for what Android does not take as the name of a package."""
    if len(package) > MAX_PACKAGE or not _PACKAGE.fullmatch(package):
        raise UsageError(
            f"package '{package}' is none; use words of letters, digits and '_' with dots between, "
            f"two or more, such as {DEFAULT_PREFIX}.catfinder"
        )


def label_of(name: str) -> str:
    """Return the label of an app after its site's name, shortened where it must be."""
    label = "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp"})
    return label.strip()[:MAX_LABEL].strip() or "Mejiro"


def package_of(name: str) -> str:
    """Return the package of an app after its site's name; UsageError if the name gives none.

    `cat-finder` becomes org.mejiro.app.catfinder: only letters of the alphabet and digits stay.
    """
    word = re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", name).lower())
    word = word.lstrip("0123456789")[: MAX_PACKAGE - len(DEFAULT_PREFIX) - 1]
    if not word:
        raise UsageError(
            f"the name '{name}' gives no name for a package; "
            f"give one with --package, such as {DEFAULT_PREFIX}.catfinder"
        )
    return f"{DEFAULT_PREFIX}.{word}"
