from __future__ import annotations

import json
from pathlib import Path

import pytest

from mejiro.apk import keys
from mejiro.apk.manifest import Identity
from mejiro.apk.template import default_icon
from mejiro.apk.write import pack
from mejiro.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("MEJIRO_KEY_PASSPHRASE", raising=False)
    monkeypatch.setattr(keys, "RSA_BITS", 2048)
    return tmp_path / "config" / "mejiro" / "keys"


def test_a_key_is_made_shown_and_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list"]) == 0
    assert "make one with `mejiro keys new android`" in capsys.readouterr().out
    assert main(["keys", "new"]) == 0
    made = capsys.readouterr()
    assert str(folder / "android.pem") in made.out
    assert "without this key no update" in made.err
    assert main(["keys", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["fingerprint"] in made.out
    assert main(["keys", "new", "second", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "second"
    assert main(["keys", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["android", "second"]
    assert main(["keys", "list", "--json"]) == 0
    assert [key["name"] for key in json.loads(capsys.readouterr().out)] == ["android", "second"]


def test_a_key_is_not_made_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "new", "cats"]) == 0
    capsys.readouterr()
    assert main(["keys", "new", "cats"]) == 2
    assert capsys.readouterr().err.startswith("mejiro: error: there is a key 'cats' already")


def test_a_passphrase_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEJIRO_KEY_PASSPHRASE", "")
    assert main(["keys", "new", "--passphrase"]) == 2
    assert "at least one character" in capsys.readouterr().err
    monkeypatch.setenv("MEJIRO_KEY_PASSPHRASE", "secret")
    assert main(["keys", "new", "--passphrase"]) == 0
    assert "with a passphrase" in capsys.readouterr().out


def test_a_certificate_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "new", "cats"]) == 0
    out = tmp_path / "cats.pem"
    assert main(["keys", "export", "cats", "--out", str(out)]) == 0
    assert out.read_text().startswith("-----BEGIN CERTIFICATE")
    assert main(["keys", "export", "cats", "--private", "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_package_s_signer_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = tmp_path / "index.html"
    index.write_text("page")
    made = keys.create_key("cats")
    data = pack(
        Identity("a.b", "Cats", 3, "1.2"),
        default_icon(),
        {"index.html": index},
        keys.open_key(made),
    )
    path = tmp_path / "cats.apk"
    path.write_bytes(data)
    assert main(["keys", "verify", str(path)]) == 0
    said = capsys.readouterr().out
    assert "Cats, a.b, version 1.2" in said
    assert f"signed (v2, v3) by your key cats: {made.fingerprint}" in said
    made.path.unlink()
    assert main(["keys", "verify", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["signer"], told["keys"], told["version_code"]) == (made.fingerprint, [], 3)
    path.write_bytes(data.replace(b"index.html", b"index.htmx"))
    assert main(["keys", "verify", str(path)]) == 1
    assert "changed after it was signed" in capsys.readouterr().err
