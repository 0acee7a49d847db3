"""Know of a bundle what a deploy needs, after checking every byte of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.manifest import CHECKSUMS_NAME, MANIFEST_NAME

SIGNATURE_NAME = "manifest.json.sig"
INSTALLER_NAME = "install.sh"
WHEELS_FOLDER = "wheels/"


@dataclass(frozen=True)
class DeployBundle:
    """Hold a checked bundle: its name, its target, the texts that describe it, its files' sizes."""

    folder: Path
    name: str
    target: str
    manifest: str
    sums: str
    signature: str | None
    sizes: dict[str, int]

    @classmethod
    def open(cls, folder: Path) -> DeployBundle:
        """Check the bundle in `folder` as a device would; BundleError if anything is wrong."""
        found = open_bundle(folder).manifest
        signature = folder / SIGNATURE_NAME
        return cls(
            folder=folder,
            name=found.name,
            target=found.target,
            manifest=(folder / MANIFEST_NAME).read_bytes().decode("utf-8"),
            sums=(folder / CHECKSUMS_NAME).read_bytes().decode("utf-8"),
            signature=signature.read_text(encoding="ascii") if signature.is_file() else None,
            sizes={path: entry.size_bytes for path, entry in found.files.items()},
        )

    @property
    def wheels(self) -> list[str]:
        """The paths of the wheels it carries."""
        return sorted(
            path for path in self.sizes if path.startswith(WHEELS_FOLDER) and path.endswith(".whl")
        )

    @property
    def wheel_bytes(self) -> int:
        """What the wheels weigh."""
        return sum(self.sizes[path] for path in self.wheels)

    @property
    def has_installer(self) -> bool:
        """Whether it brings its own environment."""
        return INSTALLER_NAME in self.sizes
