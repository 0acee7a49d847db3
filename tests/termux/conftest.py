"""Give tests a phone with nothing on it but Termux's packages, and bundles for it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from mejiro.bundle import BundleOptions, TargetOptions, write_bundle
from mejiro.model import Artifact
from mejiro.targets import TargetProfile, read_profile
from tests.emulation.fixtures import skip_or_fail
from tests.emulation.needs import Unavailable
from tests.termux.phone import Phone
from tests.termux.root import debian_programs, require_phone
from tests.toolkit.bundle.conftest import make_wheel, pip_files

__all__ = ["pip_files"]


def profile_here() -> TargetProfile:
    """Return the profile of phones, for this machine's processor."""
    file = resources.files("mejiro_targets") / "android-termux.toml"
    text = file.read_text(encoding="utf-8").replace('"aarch64"', f'"{platform.machine()}"')
    found = read_profile(text, file.name)
    assert isinstance(found, TargetProfile)
    return found


@pytest.fixture(scope="session")
def bundles(
    model_fixtures: Path,
    pip_files: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """Return two bundles for the phone that differ in the model."""
    folder = tmp_path_factory.mktemp("termux-bundles")
    make_wheel(folder / "index", "pip", "25.3", files=pip_files)
    settings = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": (folder / "index").as_uri(),
        "PIP_CONFIG_FILE": os.devnull,
        "MEJIRO_CACHE": str(folder / "cache"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        for precision in ("int8", "fp32"):
            artifact = Artifact.open(model_fixtures / "models" / f"colours-{precision}.onnx")
            options = BundleOptions(name="colours", target=TargetOptions(profile_here()))
            write_bundle([artifact], folder / precision, options=options)
    return folder / "int8", folder / "fp32"


@pytest.fixture
def phone_maker(tmp_path: Path) -> Iterator[Callable[..., Phone]]:
    """Return a function that starts phones, which end with the test."""
    try:
        require_phone()
        debian_programs()
    except Unavailable as error:
        skip_or_fail(error)
    made: list[Phone] = []

    def make(**options: Any) -> Phone:
        made.append(Phone(tmp_path / f"phone{len(made)}", **options))
        return made[-1].start()

    yield make
    for phone in made:
        phone.stop()
        shutil.rmtree(phone.root)


@pytest.fixture
def phone(phone_maker: Callable[..., Phone]) -> Phone:
    """Return a running phone with all that the documentation asks for."""
    return phone_maker()
