"""Run the shell's code on a desktop's Java, against stand-ins for the Android that it calls.

It shows what the code does and that its registers and types fit; that Android does as the
stand-ins do, only a phone shows.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mejiro.apk.template import CODE, sources
from tests.toolkit.apk.webview import answer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.requires_tool("java", "javac", "enjarify"),
]
HOST = "https://appassets.androidplatform.net"
CAMERA = "android.webkit.resource.VIDEO_CAPTURE"
SOUND = "android.webkit.resource.AUDIO_CAPTURE"
HEADERS = "{Cache-Control=no-cache, X-Content-Type-Options=nosniff}"

Drive = Callable[..., list[str]]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """Run the shell's code, turned into Java's, with the stand-ins; see Drive among them."""
    folder = tmp_path_factory.mktemp("shell")
    text = (Path(__file__).parent / "android_stand_ins.txt").read_text()
    files = []
    for section in text.split("\n=== ")[1:]:
        name, _, code = section.partition("\n")
        files.append(folder / "java" / name)
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        files[-1].write_text(code)
    jar, classes = folder / "shell.jar", folder / "classes"
    code = sources() / "template" / CODE
    # It is written in Python, for the system's own interpreter.
    system = {"PATH": "/usr/bin:/bin"}
    command = ["enjarify", str(code), "-o", str(jar)]
    subprocess.run(command, check=True, capture_output=True, env=system)
    stand_ins = [str(file) for file in files if file.name != "Drive.java"]
    compile_ = ["javac", "-nowarn", "-d", str(classes)]
    subprocess.run([*compile_, *stand_ins], check=True, capture_output=True)
    path = f"{jar}:{classes}"
    drive = str(next(file for file in files if file.name == "Drive.java"))
    subprocess.run([*compile_, "-cp", path, drive], check=True, capture_output=True)
    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", path]
    with subprocess.Popen(
        [*java, "org.mejiro.shell.Drive"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.communicate()


@pytest.fixture
def drive(shell: subprocess.Popen[str], tmp_path: Path) -> Drive:
    """Return a function that has a new shell do things, and returns what it did of the last."""
    site = tmp_path / "assets" / "site"
    (site / "js").mkdir(parents=True)
    (site / "index.html").write_text("<h1>page</h1>")
    (site / "js" / "a.js").write_text("script")
    (site / "model.tflite").write_text("weights")
    (site / "a b.wasm").write_text("code")
    (tmp_path / "assets" / "secret.txt").write_text("secret")

    def run(*lines: str) -> list[str]:
        assert shell.stdin is not None
        assert shell.stdout is not None
        words = (f"reset {tmp_path} {tmp_path}/assets", *lines, "done")
        shell.stdin.write("\n".join(words) + "\n")
        shell.stdin.flush()
        said: list[str] = []
        while (line := shell.stdout.readline().rstrip("\n")) != "> done":
            assert shell.poll() is None, said
            said = [] if line.startswith("> ") else [*said, line]
        return said

    return run


def test_asks_for_the_camera_and_then_loads_the_page(drive: Drive) -> None:
    assert drive("create") == [
        "script true",
        "storage true",
        "viewport true",
        "gesture false",
        "files false",
        "location false",
        "background 0",
        "fits true",
        "add WebView",
        "content FrameLayout",
        "request android.permission.CAMERA 1",
    ]
    assert drive("create", "answered") == [f"load {HOST}/"]
    assert drive("create", "answered", "answered") == []
    assert drive("granted true", "create")[-1] == f"load {HOST}/"


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("/", f"200 OK text/html utf-8 {HEADERS} <h1>page</h1>"),
        ("/index.html?source=golden", f"200 OK text/html utf-8 {HEADERS} <h1>page</h1>"),
        ("/js/a.js", f"200 OK text/javascript utf-8 {HEADERS} script"),
        ("/a%20b.wasm", f"200 OK application/wasm null {HEADERS} code"),
        ("/model.tflite", f"200 OK application/octet-stream null {HEADERS} weights"),
        ("/absent.js", "404 Not Found text/plain utf-8 {} "),
        ("/js", "404 Not Found text/plain utf-8 {} "),
        ("/../secret.txt", "404 Not Found text/plain utf-8 {} "),
        ("/%2e%2e/secret.txt", "404 Not Found text/plain utf-8 {} "),
    ],
)
def test_answers_from_the_assets(drive: Drive, url: str, answer: str) -> None:
    assert drive("create", f"get {HOST}{url}") == [answer]


@pytest.mark.parametrize(
    "path", ["/", "/js/a.js?v=1", "/a%20b.wasm", "/js", "/js/", "/%2e%2e/secret.txt", "/A.JS"]
)
def test_the_stand_in_for_a_webview_answers_alike(drive: Drive, tmp_path: Path, path: str) -> None:
    """What runs the page in Chromium answers from a package as the code does."""
    site = tmp_path / "assets"
    assets = {
        str(file.relative_to(site)): file.read_bytes() for file in site.rglob("*") if file.is_file()
    }
    [said] = drive("create", f"get {HOST}{path}")
    given = answer(assets, f"{HOST}{path}")
    encoding = given.encoding or "null"
    assert said.split(" {")[0].endswith(f"{given.mime} {encoding}")
    assert said.startswith(f"{given.status} ")
    assert said.endswith(f" {given.body.decode()}")


def test_refuses_what_is_not_the_site_s(drive: Drive) -> None:
    no = ["403 Forbidden text/plain utf-8 {} "]
    for url in (
        "https://example.org/index.html",
        "http://appassets.androidplatform.net/",
        "https://appassets.androidplatform.net:8443/",
        "https://me@appassets.androidplatform.net/",
        "file:///android_asset/site/index.html",
        "content://org.example/secret",
    ):
        assert drive("create", f"get {url}") == no, url
    assert drive("create", f"post {HOST}/api/reports") == [
        "405 Method Not Allowed text/plain utf-8 {} "
    ]
    assert drive("create", "get data:text/plain,x") == ["as usual"]


def test_answers_a_service_worker_as_the_page(drive: Drive) -> None:
    assert drive("create", f"worker {HOST}/sw.js?v=1") == ["404 Not Found text/plain utf-8 {} "]
    assert drive("create", f"worker {HOST}/js/a.js") == [
        f"200 OK text/javascript utf-8 {HEADERS} script"
    ]
    assert drive("create", "worker https://example.org/") == ["403 Forbidden text/plain utf-8 {} "]


def test_opens_links_elsewhere_in_the_browser_if_touched(drive: Drive) -> None:
    away = "https://example.org/a"
    assert drive("create", f"touch {HOST}/LICENSES/a.txt") == ["kept from it false"]
    assert drive("create", f"touch {away}") == [
        f"start android.intent.action.VIEW {away}",
        "kept from it true",
    ]
    assert drive("create", f"link {away}") == ["kept from it true"]
    assert drive("create", "touch http://example.org/") == ["kept from it true"]
    assert drive("create", "nobody true", f"touch {away}") == ["kept from it true"]


def test_grants_the_page_the_camera_and_nothing_else(drive: Drive) -> None:
    ready = ("granted true", "create")
    assert drive(*ready, f"ask {HOST}/ {CAMERA}") == [f"grant {CAMERA}"]
    assert drive(*ready, f"ask {HOST}/ {SOUND} {CAMERA}") == [f"grant {CAMERA}"]
    assert drive(*ready, f"ask {HOST}/ {SOUND}") == ["deny"]
    assert drive(*ready, f"ask https://example.org/ {CAMERA}") == ["deny"]


def test_asks_the_user_again_when_the_page_wants_the_camera(drive: Drive) -> None:
    asked = ("create", "answered", f"ask {HOST}/ {CAMERA}")
    assert drive(*asked) == ["request android.permission.CAMERA 1"]
    assert drive(*asked, "answered") == ["deny"]
    assert drive(*asked, "granted true", "answered") == [f"grant {CAMERA}"]
    assert drive(*asked, f"ask {HOST}/ {CAMERA}") == ["deny"]
    assert drive(*asked, "cancel", "answered") == []


def test_lets_the_user_choose_a_picture_or_a_video(drive: Drive) -> None:
    asked = (
        "start 2 android.intent.action.GET_CONTENT android.intent.category.OPENABLE type=*/* "
        "android.intent.extra.MIME_TYPES=image/*,video/*"
    )
    assert drive("create", "choose") == [asked, "asked true"]
    assert drive("create", "choose", "result 2 -1 content://a/1") == ["chosen [content://a/1]"]
    assert drive("create", "choose", "result 2 0") == ["chosen null"]
    assert drive("create", "choose", "choose")[0] == "chosen null"
    assert drive("create", "nobody true", "choose") == ["asked false"]
    assert drive("create", "result 2 -1 content://a/1") == []


def test_saves_what_the_page_offers(drive: Drive, tmp_path: Path) -> None:
    place = tmp_path / "saved.json"
    offered = "data:application/json;base64,eyJhIjogMX0="
    [asked] = drive("create", f"download {offered} application/json")
    assert asked == (
        "start 3 android.intent.action.CREATE_DOCUMENT android.intent.category.OPENABLE "
        "android.intent.extra.TITLE=mejiro-report.json type=application/json"
    )
    # Another process may be there when the answer comes: the bytes wait in a file.
    assert drive("create", f"result 3 -1 file:{place}") == ["toast 7f030002"]
    assert place.read_text() == '{"a": 1}'
    assert not (tmp_path / "to-be-saved").exists()
    assert drive("create", f"result 3 -1 file:{place}") == ["toast 7f030001"]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("data:,a%20b%E7%9B%AE+c", "a b目+c"),
        ("data:text/plain;charset=utf-8,{%22a%22:%20[1,2]}", '{"a": [1,2]}'),
        ("data:text/plain;base64,YSBi%0AZQ%3D%3D", "a be"),
    ],
)
def test_reads_data_addresses(drive: Drive, tmp_path: Path, url: str, text: str) -> None:
    [asked] = drive("create", f"download {url}")
    assert asked.endswith("type=application/octet-stream")
    assert (tmp_path / "to-be-saved").read_text() == text


def test_has_the_page_turn_a_blob_into_data(drive: Drive) -> None:
    [line] = drive("create", f'download blob:{HOST}/1-2"3 application/json')
    assert line.startswith(f'script fetch("blob:{HOST}/1-2\\"3").then(')


def test_says_when_it_cannot_save(drive: Drive) -> None:
    failed = ["toast 7f030001"]
    assert drive("create", f"download {HOST}/model.tflite") == failed
    assert drive("create", "download data:nothing") == failed
    assert drive("create", "nobody true", "download data:,a text/plain") == failed
    assert drive("create", "result 3 0") == []


def test_goes_back_within_the_site_and_then_out(drive: Drive) -> None:
    assert drive("create", "history true", "back") == ["go back"]
    assert drive("create", "back") == ["to back true"]
    assert "registered 0" in drive("sdk 33", "create")
    assert drive("sdk 36", "create", "invoke-back") == ["to back true"]
    assert not any("registered" in line for line in drive("sdk 32", "create"))


def test_comes_and_goes(drive: Drive) -> None:
    assert drive("create", "pause") == ["pause"]
    assert drive("create", "resume") == ["resume"]
    assert drive("create", "destroy") == ["remove WebView", "destroy"]


def test_ends_when_the_page_s_process_does(drive: Drive) -> None:
    assert drive("create", "gone") == ["toast 7f030003", "finish", "lives on true"]


def test_says_when_there_is_no_webview(drive: Drive) -> None:
    assert drive("absent true", "create") == ["toast 7f030000", "finish"]
    for event in ("resume", "pause", "back", "destroy", "answered"):
        assert drive("absent true", "create", event) in ([], ["to back true"])
