"""Give tests the folder of tiny real models and bundles that `tests/make_fixtures.py` fills.

MEJIRO_TEST_FIXTURES names it on devices; where the host's packages are installed it is made once
for all workers.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Some of what the fixtures are made from: a change of anything else does not change them.
FIXTURE_SOURCES = (
    "tests/make_fixtures.py",
    "tests/make_task_fixtures.py",
    "runtime/mejiro_runtime",
    "toolkit/mejiro/bundle",
    "toolkit/mejiro/data",
    "toolkit/mejiro/export",
    "toolkit/mejiro/model.py",
)

KEPT_FIXTURES = 3


def _fixtures_digest() -> str:
    digest = hashlib.sha256()
    for source in FIXTURE_SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def model_fixtures() -> Path:
    """Return the folder of real models and a real bundle; see `tests/make_fixtures.py`."""
    if named := os.environ.get("MEJIRO_TEST_FIXTURES"):
        return Path(named)
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("MEJIRO_TEST_FIXTURES is not set, and TensorFlow is not here to make them")
    fcntl = pytest.importorskip("fcntl")
    folder = ROOT / ".cache" / "fixtures" / _fixtures_digest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            script = [sys.executable, str(ROOT / "tests" / "make_fixtures.py"), str(folder)]
            done = subprocess.run(script, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
            made = [path for path in folder.parent.iterdir() if path.is_dir()]
            for old in sorted(made, key=lambda path: path.stat().st_mtime)[:-KEPT_FIXTURES]:
                shutil.rmtree(old, ignore_errors=True)
    return folder
