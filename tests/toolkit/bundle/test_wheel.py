"""The wheel in a bundle is a real wheel: small, repeatable, installable."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from email import message_from_string

import pytest

import mejiro_runtime
from mejiro.bundle.wheel import write_runtime_wheel
from mejiro.errors import MejiroError


def test_the_wheel_holds_the_imported_runtime_and_a_true_record(tmp_path):
    wheel = write_runtime_wheel(tmp_path)
    assert wheel.stat().st_size <= 180_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        version = mejiro_runtime.__version__
        info = f"mejiro_runtime-{version}.dist-info"
        own = archive.read("mejiro_runtime/preprocess.py").decode()
        assert "class InputSpec" in own
        page = [
            n.rpartition("/")[2] for n in names if n.startswith("mejiro_runtime/sinks/web/page/")
        ]
        assert page == ["icon.svg", "index.html", "page.js", "style.css"]
        assert not [n for n in names if not n.startswith(("mejiro_runtime/", f"{info}/"))]
        metadata = message_from_string(archive.read(f"{info}/METADATA").decode())
        assert metadata["Name"] == "mejiro-runtime"
        assert metadata["Version"] == version
        assert "mejiro-run" in archive.read(f"{info}/entry_points.txt").decode()
        rows = [line.split(",") for line in archive.read(f"{info}/RECORD").decode().splitlines()]
        assert [row[0] for row in rows] == names
        for name, digest, size in rows[:-1]:
            data = archive.read(name)
            raw = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={raw}", len(data))
        assert rows[-1][1:] == ["", ""]


def test_two_wheels_are_the_same_bytes(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (write_runtime_wheel(folder).read_bytes() for folder in folders)
    assert one == two


def test_another_installed_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mejiro.bundle.wheel.__version__", "9.9.9")
    with pytest.raises(MejiroError, match="install mejiro-runtime again"):
        write_runtime_wheel(tmp_path)
    assert not list(tmp_path.iterdir())
