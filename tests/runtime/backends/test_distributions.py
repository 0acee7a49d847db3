"""A version is the one that is installed, found without importing anything."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from mejiro_runtime.backends.distributions import version_of


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """Return a folder on the import path with a package whose import would fail."""
    (tmp_path / "some_engine").mkdir()
    (tmp_path / "some_engine" / "__init__.py").write_text("raise SystemError", encoding="ascii")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_an_absent_module_has_no_version() -> None:
    assert version_of("no-such-engine", module="no_such_engine") is None


@pytest.mark.parametrize("version", ["1.2.3", "2.14.0.post1", "1.0rc1+local.2"])
def test_the_folder_beside_the_module_says_it(site: Path, version: str) -> None:
    (site / f"some_engine-{version}.dist-info").mkdir()
    assert version_of("some-engine", module="some_engine") == version
    assert "some_engine" not in sys.modules


def test_a_module_of_another_distribution_has_no_version(site: Path) -> None:
    (site / "other_engine-1.0.dist-info").mkdir()
    assert version_of("some-engine", module="some_engine") is None


def test_installed_packages_have_the_version_that_importlib_tells() -> None:
    for name in ("numpy", "pytest", "hypothesis"):
        assert version_of(name, module=name) == metadata.version(name)
