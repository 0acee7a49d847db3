"""A site is opened on a phone over USB, and its report comes home."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from mejiro.errors import MejiroError, PhoneError, UsageError
from mejiro.phone import Adb, PageOptions, PhonePage, plan_page
from mejiro.phone.page import port_of
from mejiro.serve import Contents, open_contents, read_contents
from tests.phone.adbd import PHONE_ADDRESS, Adbd
from tests.phone.browsers import posting
from tests.phone.fixtures import adb_server, phone, start_phone
from tests.site_stand_in import REPORT, changed_report, site_files, write_site

__all__ = ["adb_server", "phone", "start_phone"]
needs_adb = pytest.mark.requires_tool("adb")


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    # Of its own bytes, and so with its own port: other tests run at the same time.
    files = {**site_files(), "own.txt": str(tmp_path).encode()}
    return read_contents(write_site(tmp_path / "site", files))


@needs_adb
def test_a_report_comes_home_from_the_phone(
    phone: Adbd, contents: Contents, tmp_path: Path
) -> None:
    seen: list[int] = []
    phone.android.on_open = posting(REPORT, seen)
    chosen = PageOptions(source="golden", frames=7, backend="wasm", threads=2)
    with PhonePage(Adb.connect(), contents, chosen, reports=tmp_path / "reports") as page:
        page.open()
        received = page.wait(20)
        wanted = "?report=auto&source=golden&frames=7&backend=wasm&threads=2"
        assert phone.android.opened == [page.url]
        assert page.url == f"http://localhost:{port_of(contents)}/{wanted}"
    assert received.passed
    assert received.report is not None
    assert received.report.frames == 7
    assert received.report.name == received.path.stem
    assert received.path.parent == tmp_path / "reports"
    assert phone.reversed == {}
    assert "input keyevent KEYCODE_WAKEUP" in phone.android.commands


@needs_adb
def test_a_report_of_failure_is_no_success(phone: Adbd, contents: Contents, tmp_path: Path) -> None:
    for report in (
        {"kind": "browser", "error": "no camera"},
        changed_report(verification={"passed": False}),
        changed_report(verification=None),
    ):
        phone.android.on_open = posting(report)
        with PhonePage(Adb.connect(), contents, PageOptions(), reports=tmp_path / "r") as page:
            page.open()
            assert not page.wait(20).passed


@needs_adb
def test_a_phone_that_says_nothing_is_not_waited_for_in_vain(
    phone: Adbd, contents: Contents, tmp_path: Path
) -> None:
    with PhonePage(Adb.connect(), contents, PageOptions(), reports=tmp_path) as page:
        page.open()
        with pytest.raises(PhoneError, match=r"no report came within 0\.2 s; look at the phone"):
            page.wait(0.2)
        threading.Timer(0.2, phone.close).start()
        with pytest.raises(PhoneError, match="went away before its report came"):
            page.wait(30)


@needs_adb
def test_a_port_that_is_taken_here_or_there_is_no_riddle(
    phone: Adbd, contents: Contents, tmp_path: Path
) -> None:
    port = port_of(contents)
    with (
        socket.create_server(("127.0.0.1", port)),
        PhonePage(Adb.connect(), contents, PageOptions(), reports=tmp_path) as page,
    ):
        assert f":{port}/" not in page.url
    with (
        socket.create_server((PHONE_ADDRESS, port)),
        pytest.raises(PhoneError, match="`adb reverse` failed .* cannot bind listener"),
        PhonePage(Adb.connect(), contents, PageOptions(), reports=tmp_path),
    ):
        pytest.fail("the port was taken on the phone")


@needs_adb
def test_the_plan_says_what_will_be_done(phone: Adbd, contents: Contents) -> None:
    plan = plan_page(Adb.connect(), contents, PageOptions(frames=5))
    assert plan.lines()[0].startswith("Google Pixel 8 (127.0.0.1:")
    assert plan.lines()[0].endswith(f"Android 15: birds ({contents.version})")
    port = port_of(contents)
    assert plan.to_json()["steps"][1] == f"adb reverse tcp:{port} tcp:{port}"
    assert phone.android.opened == []
    assert phone.reversed == {}


def test_another_site_has_another_port(contents: Contents, tmp_path: Path) -> None:
    assert 20000 <= port_of(contents) < 30000
    files = {**site_files(), "extra.txt": b"more"}
    assert port_of(read_contents(write_site(tmp_path / "other", files))) != port_of(contents)
    assert port_of(open_contents(tmp_path / "site")) == port_of(contents)


def test_what_is_no_site_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        open_contents(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is no folder; name that of a site"):
        open_contents(tmp_path / "file")
    with pytest.raises(MejiroError) as told:
        open_contents(tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"source": "camera:0"}, "--source is camera or golden, found 'camera:0'"),
        ({"backend": "litert"}, "--backend is wasm or webgpu, found 'litert'"),
    ],
)
def test_what_no_page_can_do_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PageOptions(**options)
