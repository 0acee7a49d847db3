from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest

from mejiro.apk import ApkOptions, open_apk, write, write_apk
from mejiro.apk.keys import Key
from mejiro.apk.template import ACTIVITY, SITE, default_icon, read_template
from mejiro.apk.write import pack
from mejiro.errors import ApkError, SiteError, UsageError
from tests.toolkit.apk.conftest import IDENTITY, PAGE

CAMERA = "android.permission.CAMERA"


@pytest.fixture(scope="module")
def written(package: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "cats.apk"
    path.write_bytes(package)
    return path


def _say(*command: object) -> str:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_the_page_is_among_the_assets(package: bytes) -> None:
    with zipfile.ZipFile(BytesIO(package)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[0] == "AndroidManifest.xml"
        for name, data in PAGE.items():
            assert archive.read(f"{SITE}/{name}") == data
        assert len(names) == len(read_template()) + 5 + len(PAGE)


def test_the_same_is_packed_the_same(page: dict[str, Path], package: bytes, key: Key) -> None:
    for path in page.values():
        os.utime(path, (1, 1))
    assert pack(IDENTITY, default_icon(), page, key) == package


def test_a_package_says_what_it_is(written: Path, key: Key) -> None:
    apk = open_apk(written)
    assert apk.identity == IDENTITY
    assert apk.component == f"org.example.cats/{ACTIVITY}"
    assert (apk.size_bytes, apk.fingerprint) == (written.stat().st_size, key.fingerprint)


@pytest.mark.requires_tool("aapt")
def test_what_aapt_says(written: Path) -> None:
    said = _say("aapt", "dump", "badging", written)
    assert "package: name='org.example.cats' versionCode='7' versionName='1.2.3-rc4'" in said
    assert "sdkVersion:'24'" in said
    assert "targetSdkVersion:'36'" in said
    assert "application-label:'Cats 猫'" in said
    assert f"launchable-activity: name='{ACTIVITY}'" in said
    # The camera and nothing else: no network above all.
    assert re.findall("uses-permission: name='(.+)'", said) == [CAMERA]
    assert "uses-feature-not-required: name='android.hardware.camera'" in said
    assert "debuggable" not in said
    tree = _say("aapt", "dump", "xmltree", written, "AndroidManifest.xml")
    assert "allowBackup(0x01010280)=(type 0x12)0x0" in tree


@pytest.mark.requires_tool("zipalign")
def test_what_zipalign_says(written: Path) -> None:
    assert "Verification successful" in _say("zipalign", "-c", "-v", "4", written)


def test_what_androguard_says(package: bytes, key: Key) -> None:
    logger = pytest.importorskip("loguru").logger
    logger.remove()
    from androguard.core.apk import APK
    from androguard.core.dex import DEX

    apk = APK(package, raw=True)
    assert apk.is_valid_APK()
    assert (apk.get_package(), apk.get_app_name()) == ("org.example.cats", "Cats 猫")
    assert (apk.get_androidversion_code(), apk.get_androidversion_name()) == ("7", "1.2.3-rc4")
    assert (apk.get_min_sdk_version(), apk.get_target_sdk_version()) == ("24", "36")
    assert apk.get_main_activity() == ACTIVITY
    assert apk.get_permissions() == [CAMERA]
    assert apk.is_signed_v2()
    assert apk.is_signed_v3()
    assert not apk.is_signed_v1()
    assert apk.get_certificates_der_v2() == apk.get_certificates_der_v3() == [key.certificate_der]
    assert apk.get_public_keys_der_v3() == [key.public_der]
    classes = [item.get_name() for item in DEX(apk.get_dex()).get_classes()]
    assert f"L{ACTIVITY.replace('.', '/')};" in classes


def test_a_site_becomes_an_app(tiny_site: Path, key: Key, tmp_path: Path) -> None:
    apk = write_apk(tiny_site, tmp_path / "a.apk", ApkOptions(key))
    assert apk == open_apk(apk.path)
    assert apk.identity.package == "org.mejiro.app.colours"
    assert apk.identity.label == "colours"
    with zipfile.ZipFile(apk.path) as archive:
        packed = {name.removeprefix(f"{SITE}/") for name in archive.namelist()}
        for path in tiny_site.rglob("*.js*"):
            name = path.relative_to(tiny_site).as_posix()
            if "threaded" not in name and name != "sw.js":
                assert archive.read(f"{SITE}/{name}") == path.read_bytes()
    assert "site.json" in packed
    assert not any("threaded" in name or name == "sw.js" for name in packed)
    assert [path.name for path in tmp_path.iterdir()] == ["a.apk"]


def test_an_icon_of_one_s_own(page: dict[str, Path], key: Key) -> None:
    picture = np.full((256, 256, 3), (0, 0, 255), np.uint8)
    done, icon = cv2.imencode(".png", picture)
    assert done
    with zipfile.ZipFile(BytesIO(pack(IDENTITY, bytes(icon), page, key))) as archive:
        data = np.frombuffer(archive.read("res/mipmap-xxhdpi-v4/picture.png"), np.uint8)
        table = archive.read("resources.arsc")
    drawn = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert drawn.shape == (144, 144, 4)
    assert (drawn == (0, 0, 255, 255)).all()
    assert table.count(b"\x08\0\0\x1c" + 0xFFFF0000.to_bytes(4, "little")) == 1


def test_a_name_that_the_app_would_refuse_is_refused(page: dict[str, Path], key: Key) -> None:
    for name in ("a..js", "a\\b.js", "a\nb.js"):
        with pytest.raises(ApkError, match="cannot open"):
            pack(IDENTITY, default_icon(), {name: page["index.html"]}, key)


def test_nothing_is_written_of_what_cannot_be_packed(
    key: Key, tiny_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "a.apk"
    with pytest.raises(SiteError, match="it is no site"):
        write_apk(tmp_path, out, ApkOptions(key))
    with pytest.raises(UsageError, match="is no PNG"):
        write_apk(tiny_site, out, ApkOptions(key, icon=Path(__file__)))
    monkeypatch.setattr(write, "MAX_SITE_BYTES", 1000)
    with pytest.raises(UsageError, match="a package holds 1000"):
        write_apk(tiny_site, out, ApkOptions(key))
    assert not out.parent.exists()


def test_an_altered_site_is_not_packed(key: Key, tiny_site: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(tiny_site, site)
    (site / "added.js").write_text("x")
    with pytest.raises(SiteError, match=r"added\.js"):
        write_apk(site, tmp_path / "a.apk", ApkOptions(key))


def test_a_package_without_a_manifest_is_told(key: Key, tmp_path: Path) -> None:
    from mejiro.apk.signing import sign_package

    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", "b")
    path = tmp_path / "a.apk"
    path.write_bytes(sign_package(stream.getvalue(), key))
    with pytest.raises(ApkError, match="no manifest"):
        open_apk(path)
