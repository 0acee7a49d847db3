"""`mejiro deploy` installs a package on a phone and starts it, or says what is against it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.phone.adbd import Adbd
from tests.phone.fixtures import adb_server, phone, start_phone
from tests.site_stand_in import write_site

__all__ = ["adb_server", "phone", "start_phone"]
pytestmark = pytest.mark.requires_tool("adb")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of configuration with one key: making it takes a second."""
    from mejiro.apk.keys import create_key

    folder = tmp_path_factory.mktemp("config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        create_key("android")
    return folder


@pytest.fixture
def site(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(keys))
    return str(write_site(tmp_path / "site"))


def test_a_site_is_packed_installed_and_started(phone: Adbd, site: str, run: Run) -> None:
    code, out, err = run("deploy", site, "android", "--apk", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["package"] == "org.mejiro.app.birds"
    assert phone.android.started == [told["component"]]
    (package,) = phone.android.installed
    assert package[:2] == b"PK"
    assert phone.android.commands[-2:] == [
        "input keyevent KEYCODE_WAKEUP",
        f"am start -n {told['component']}",
    ]


def test_a_package_is_installed_as_it_is(phone: Adbd, site: str, run: Run, tmp_path: Path) -> None:
    apk = tmp_path / "birds.apk"
    assert run("bundle", site, "--target", "android-apk", "--out", str(apk))[0] == 0
    code, out, _ = run("deploy", str(apk), "android", "--dry-run")
    assert code == 0
    assert "adb install -r birds.apk" in out
    assert phone.android.installed == []
    code, out, _ = run("deploy", str(apk), "android")
    assert (code, phone.android.installed) == (0, [apk.read_bytes()])
    assert "runs on Google Pixel 8" in out
    phone.android.refusal = "INSTALL_FAILED_UPDATE_INCOMPATIBLE: signatures do not match"
    code, _, err = run("deploy", str(apk), "android")
    assert code == 1
    assert "signed with another key" in err
    assert len(err.splitlines()) == 1
    assert len(phone.android.started) == 1


def test_a_package_that_was_changed_is_not_installed(
    phone: Adbd, site: str, run: Run, tmp_path: Path
) -> None:
    apk = tmp_path / "birds.apk"
    assert run("bundle", site, "--target", "android-apk", "--out", str(apk))[0] == 0
    data = bytearray(apk.read_bytes())
    data[len(data) // 3] ^= 1
    apk.write_bytes(data)
    code, _, err = run("deploy", str(apk), "android")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert phone.android.installed == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{site}", "android", "--apk", "--frames", "5"], "--frames is for a page"),
        (["{site}", "android", "--apk", "--source", "golden"], "--source is for a page"),
        (["{site}", "android", "--key", "android"], "add --apk"),
        (["{site}", "android", "--apk", "--key", "other"], "there is no key 'other'"),
        (["x.apk", "android"], "x.apk is no file"),
        (["x.apk", "android", "--key", "android"], "is signed already"),
        (["{site}", "local:x", "--apk"], "--apk is for a phone"),
    ],
)
def test_what_cannot_be_installed_is_told_in_one_line(
    adb_server: Callable[..., str], site: str, run: Run, words: list[str], said: str
) -> None:
    code, _, err = run("deploy", *(word.format(site=site) for word in words))
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
