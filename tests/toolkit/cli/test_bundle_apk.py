from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from mejiro.apk import keys, open_apk
from mejiro.cli import main

TARGET = ["--target", "android-apk"]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("MEJIRO_KEY_PASSPHRASE", raising=False)
    monkeypatch.setattr(keys, "RSA_BITS", 2048)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]):
    """Return a function that runs a command which has to fail, and returns its one line."""

    def run(*words: object) -> str:
        assert main([str(word) for word in words]) != 0
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0].removeprefix("mejiro: error: ")

    return run


@pytest.mark.slow
def test_a_bundle_becomes_an_app(
    model_fixtures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "new", "android"]) == 0
    out = tmp_path / "cat-finder.apk"
    bundle = ["bundle", str(model_fixtures / "bundle"), "--out", str(out), *TARGET]
    assert main([*bundle, "--label", "Cats"]) == 0
    apk = open_apk(out)
    assert apk.identity.package == "org.mejiro.app.catfinder"
    assert apk.identity.label == "Cats"
    with zipfile.ZipFile(out) as archive:
        site = json.loads(archive.read("assets/site/site.json"))
    assert (site["name"], site["title"]) == ("cat-finder", "Cats")
    said = capsys.readouterr().out
    assert "Never run on a phone yet" in said
    assert apk.fingerprint in said
    assert main(bundle) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.slow
def test_a_site_becomes_an_app_as_it_is_wished(
    tiny_site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "new", "mine"]) == 0
    capsys.readouterr()
    out = tmp_path / "a.apk"
    out.write_bytes(b"an older one")
    wishes = ["--label", "ねこ", "--package", "com.example.cats", "--key", "mine", "--replace"]
    wishes += ["--version-code", "12", "--version-name", "1.2"]
    assert main(["bundle", str(tiny_site), "--out", str(out), *TARGET, *wishes, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "apk": str(out),
        "target": "android-apk",
        "size_bytes": out.stat().st_size,
        "package": "com.example.cats",
        "label": "ねこ",
        "version_code": 12,
        "version_name": "1.2",
        "component": "com.example.cats/org.mejiro.shell.PageActivity",
        "signer": keys.find_key("mine").fingerprint,
    }
    assert open_apk(out).identity.label == "ねこ"


def test_what_cannot_be_is_told_before_any_work(fails, tmp_path: Path) -> None:
    out = tmp_path / "a.apk"
    bundle = ("bundle", tmp_path / "no.tflite", "--out", out, *TARGET)
    assert fails(*bundle).startswith("there is no key yet; make one with `mejiro keys new")
    keys.create_key("android")
    assert "is no name for a package" in fails("bundle", "x", "--out", tmp_path / "a", *TARGET)
    assert "is none" in fails(*bundle, "--package", "cats")
    assert "is none" in fails(*bundle, "--version-code", "0")
    assert "cannot be shown" in fails(*bundle, "--label", "a\tb")
    assert "there is no key 'x'" in fails(*bundle, "--key", "x")
    assert "is no PNG picture" in fails(*bundle, "--icon", __file__)
    assert "no.tflite" in fails(*bundle)
    assert not out.exists()


def test_what_is_for_apps_is_refused_elsewhere(fails, tmp_path: Path) -> None:
    label = ("bundle", "x", "--out", tmp_path / "x", "--label", "a", "--version-code", "2")
    expected = "--label, --version-code is for --target android-apk, not for"
    assert fails(*label) == f"{expected} a bundle"
    assert fails(*label, "--target", "android-web") == f"{expected} android-web"
    site = tmp_path / "site"
    site.mkdir()
    (site / "site.json").touch()
    titled = ("bundle", site, "--out", tmp_path / "a.apk", *TARGET, "--title", "Cats")
    assert "is a site; --name, --title and --golden make one" in fails(*titled)
    assert "takes no --sign" in fails("bundle", "x", "--out", "a.apk", *TARGET, "--sign", "k")


def test_a_passphrase_is_taken_from_the_environment(
    fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.create_key("android", "secret")
    bundle = ("bundle", tmp_path / "no.tflite", "--out", tmp_path / "a.apk", *TARGET)
    monkeypatch.setenv("MEJIRO_KEY_PASSPHRASE", "wrong")
    assert "the passphrase is wrong" in fails(*bundle)
    monkeypatch.setenv("MEJIRO_KEY_PASSPHRASE", "secret")
    assert "no.tflite" in fails(*bundle)
