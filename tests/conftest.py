"""Serve every test, on the host and in the runtime's own environments: import nothing of ours."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# `pi` and `device_maker`, for whatever goes all the way to a device; tiny models; a browser.
pytest_plugins = ["tests.emulation.fixtures", "tests.model_fixtures", "tests.browser.fixtures"]

# TensorFlow writes pages to stderr, and two workers on two cores need no pools of threads each.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")

# How long an example takes depends on the machine, so it decides nothing.
settings.register_profile("mejiro", deadline=None, max_examples=60, print_blob=True)
settings.load_profile("mejiro")


def _shared_folder() -> Path:
    return Path(os.environ.get("MEJIRO_SHARED") or ROOT.parent / "shared")


def _skip_or_fail(reason: str) -> None:
    """Skip, or fail where MEJIRO_REQUIRE_TOOLS=1 promises that every tool is there."""
    if os.environ.get("MEJIRO_REQUIRE_TOOLS") == "1":
        pytest.fail(f"{reason}, and MEJIRO_REQUIRE_TOOLS=1 says that it must be", pytrace=False)
    pytest.skip(reason)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs at full size unless `-m` names it; another `-m` does not call it back."""
    if "full_size" in config.option.markexpr:
        return
    left = [item for item in items if item.get_closest_marker("full_size")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Act on the markers `shared` and `requires_tool`."""
    if item.get_closest_marker("shared") and not _shared_folder().is_dir():
        pytest.skip(f"{_shared_folder()} is absent; MEJIRO_SHARED names another folder")
    for marker in item.iter_markers("requires_tool"):
        for name in marker.args:
            if not (Path(name).is_file() if name.startswith("/") else shutil.which(name)):
                _skip_or_fail(f"{name} is not installed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests cache out of the user's cache folder, and what it holds out of the tests."""
    os.environ["MEJIRO_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Return the folder of real pictures and models; for tests marked `shared`."""
    return _shared_folder()


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Return the checkout that these tests belong to."""
    return ROOT
