"""The page runs a model over a camera, a file or golden frames, and says why when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.page.conftest import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]


def test_the_camera_runs_and_stops(open_page: OpenPage) -> None:
    opened = open_page()
    page = opened.page
    assert page.title() == "Flowers · Mejiro"
    page.click("#start-camera")
    opened.wait("running")
    opened.until("mejiro.results")
    assert opened.text("#labels li:first-child .name") == "sunflower"
    assert opened.text("#labels li:first-child .score") == "91 %"
    assert page.locator("#labels li").count() == 3
    assert page.evaluate("getComputedStyle(document.querySelector('#video')).transform") == "none"
    page.click("#toggle")
    opened.wait("stopped")
    assert page.evaluate("document.querySelector('#video').srcObject") is None
    assert page.is_visible("#still")  # the last picture stays
    page.keyboard.press("p")
    opened.wait("running")


def test_the_rear_camera_is_asked_for(open_page: OpenPage) -> None:
    script = """
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = (wanted) => {
        window.wanted = wanted;
        return ask(wanted);
      };
    """
    opened = open_page("?source=camera", state="running", script=script)
    assert opened.page.evaluate("wanted") == {
        "audio": False,
        "video": {
            "facingMode": {"ideal": "environment"},
            "width": {"ideal": 1280},
            "height": {"ideal": 720},
            "resizeMode": {"ideal": "none"},
        },
    }
    opened.page.click("#open-settings")
    opened.page.select_option("#resolution", "640x480")
    opened.until("wanted.video.width.ideal === 640")
    opened.wait("running")


def test_another_camera_is_chosen_and_remembered(open_page: OpenPage) -> None:
    opened = open_page("?source=camera", state="running")
    page = opened.page
    page.click("#open-settings")
    names = opened.until(
        "(() => { const names = [...document.querySelector('#camera').options].map((o) => o.text);"
        " return names.length > 1 && names; })()"
    )
    assert names[0] == "Rear camera"
    page.select_option("#camera", index=1)
    opened.wait("running")
    chosen = page.evaluate("document.querySelector('#camera').value")
    opened.until("document.querySelector('#video').srcObject !== null")
    used = "document.querySelector('#video').srcObject.getVideoTracks()[0].getSettings().deviceId"
    assert page.evaluate(used) == chosen
    kept = page.evaluate("JSON.parse(localStorage.getItem('mejiro.settings')).camera")
    assert kept == chosen


def test_a_camera_that_cannot_be_had_is_one_plain_sentence(open_page: OpenPage) -> None:
    opened = open_page()
    page = opened.page
    for name, sentence in (
        ("NotAllowedError", "The camera is not allowed here: allow it"),
        ("NotFoundError", "This device has no camera"),
        ("NotReadableError", "Another app uses the camera: close that app"),
        ("TypeError", "The camera could not be opened: not now"),
    ):
        page.evaluate(
            """(name) => {
              const refused = () => Promise.reject(new DOMException("not now", name));
              navigator.mediaDevices.getUserMedia = refused;
            }""",
            name,
        )
        page.click("#start-camera")
        opened.wait("error")
        opened.until(f"document.querySelector('#problem').textContent.startsWith('{sentence}')")
    assert page.get_attribute("#problem", "role") == "alert"
    # There is a way on.
    page.click("#start-golden")
    opened.wait("running")


def test_a_plain_address_says_that_cameras_need_a_secure_page(open_page: OpenPage) -> None:
    script = "Object.defineProperty(window, 'isSecureContext', { value: false });"
    opened = open_page("?source=camera", state="error", script=script)
    assert "only to a secure page" in opened.text("#problem")


def test_a_camera_that_is_taken_away_is_told(open_page: OpenPage) -> None:
    opened = open_page("?source=camera", state="running")
    opened.page.evaluate(
        "document.querySelector('#video').srcObject.getVideoTracks()[0]"
        ".dispatchEvent(new Event('ended'))"
    )
    opened.wait("error")
    assert "stopped giving pictures" in opened.text("#problem")


def test_a_torch_is_offered_where_there_is_one(open_page: OpenPage) -> None:
    script = """
      MediaStreamTrack.prototype.getCapabilities = () => ({ torch: true });
      MediaStreamTrack.prototype.applyConstraints = async (wanted) => { window.torch = wanted; };
    """
    opened = open_page("?source=camera", state="running", script=script)
    opened.page.click("#torch")
    opened.until("window.torch")
    assert opened.page.evaluate("torch") == {"advanced": [{"torch": True}]}
    assert opened.page.get_attribute("#torch", "aria-pressed") == "true"
    opened.page.evaluate("MediaStreamTrack.prototype.getCapabilities = () => ({})")
    opened.page.click("#toggle")
    opened.page.click("#toggle")
    opened.wait("running")
    assert opened.page.is_hidden("#torch")


def test_a_picture_is_looked_at_once(open_page: OpenPage, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    picture = tmp_path / "flower.png"
    cv2.imwrite(str(picture), np.full((300, 400, 3), (10, 20, 200), np.uint8))
    opened = open_page()
    opened.page.set_input_files("#file", picture)
    opened.wait("stopped")
    opened.until("mejiro.results")
    assert opened.page.evaluate("[mejiro.results.width, mejiro.results.height]") == [400, 300]
    report = opened.page.evaluate("mejiro.report()")
    assert report["frames"] == 1
    assert report["source"] == "picture flower.png 400x300"
    pixel = "[...document.querySelector('#still').getContext('2d').getImageData(5, 5, 1, 1).data]"
    assert opened.page.evaluate(pixel) == [200, 20, 10, 255]


def test_a_video_file_runs(open_page: OpenPage, video_file: Path) -> None:
    opened = open_page()
    opened.page.set_input_files("#file", video_file)
    opened.wait("running")
    opened.until("mejiro.report() && mejiro.report().frames > 3")
    assert opened.page.evaluate("mejiro.report().source") == "video clip.webm 160x120"


def test_a_file_that_is_neither_is_refused(open_page: OpenPage, tmp_path: Path) -> None:
    opened = open_page()
    for name in ("notes.txt", "broken.png", "broken.mp4"):
        path = tmp_path / name
        path.write_text("no picture")
        opened.page.set_input_files("#file", path)
        opened.wait("error")
        opened.until(f"document.querySelector('#problem').textContent.startsWith('{name} is no')")


def test_a_file_can_be_dropped(open_page: OpenPage) -> None:
    opened = open_page()
    opened.page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(64, 48);
          canvas.getContext("2d").fillRect(0, 0, 9, 9);
          const given = new DataTransfer();
          const picture = await canvas.convertToBlob();
          given.items.add(new File([picture], "dropped.png", { type: "image/png" }));
          const how = { dataTransfer: given, bubbles: true, cancelable: true };
          for (const kind of ["dragover", "drop"]) document.dispatchEvent(new DragEvent(kind, how));
        }"""
    )
    opened.until("mejiro.results")
    assert opened.page.evaluate("mejiro.report().source") == "picture dropped.png 64x48"
    assert opened.page.is_hidden("#drop")


def test_golden_frames_are_shown_as_they_are(open_page: OpenPage) -> None:
    import numpy as np

    opened = open_page("?source=golden", state="running")
    opened.until("mejiro.results")
    opened.page.click("#toggle")
    opened.wait("stopped")
    still = "document.querySelector('#still')"
    size = opened.page.evaluate(f"[{still}.width, {still}.height]")
    shown = opened.page.evaluate(f"[...{still}.getContext('2d').getImageData(0, 0, 32, 24).data]")
    assert size == [32, 24]
    stored = np.frombuffer((opened.host.folder / "model/golden.bin").read_bytes(), np.uint8)
    golden = stored.reshape(2, 24, 32, 3)[..., ::-1]
    rgb = np.array(shown, np.uint8).reshape(24, 32, 4)[..., :3]
    assert any((rgb == frame).all() for frame in golden)


def test_only_the_newest_frame_counts_and_drops_are_counted_by_cause(open_page: OpenPage) -> None:
    opened = open_page("?source=camera", state="running", infer_ms=180)
    opened.until("mejiro.dropped['a newer frame came'] > 4")
    report = opened.page.evaluate("mejiro.report()")
    assert set(report["dropped"]) <= {"a newer frame came", "the page was busy"}
    opened.page.click("#open-latency")
    opened.until("document.querySelector('#dropped').textContent.includes('a newer frame came')")


def test_a_browser_without_frame_callbacks_runs_too(open_page: OpenPage) -> None:
    script = "delete HTMLVideoElement.prototype.requestVideoFrameCallback;"
    opened = open_page("?source=camera", state="running", script=script)
    opened.until("mejiro.report() && mejiro.report().frames > 5")


def test_a_hidden_page_gives_the_camera_back(open_page: OpenPage) -> None:
    opened = open_page("?source=camera", state="running")
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    opened.page.evaluate(hide, True)
    opened.wait("stopped")
    assert opened.page.evaluate("document.querySelector('#video').srcObject") is None
    opened.page.evaluate(hide, False)
    opened.wait("running")


def test_the_screen_is_kept_on_while_it_runs(open_page: OpenPage) -> None:
    script = """
      window.locks = 0;
      Object.defineProperty(navigator, "wakeLock", { value: { request: async () => {
        window.locks += 1;
        return { release: async () => { window.locks -= 1; }, addEventListener() {} };
      } } });
    """
    opened = open_page("?source=camera", state="running", script=script)
    opened.until("locks === 1")
    opened.page.click("#toggle")
    opened.until("locks === 0")


def test_a_model_that_cannot_be_opened_says_why(open_page: OpenPage) -> None:
    opened = open_page(state="error", open_error="the engine is not for this browser")
    expected = "The model could not be opened: the engine is not for this browser."
    assert opened.text("#problem").startswith(expected)
    assert opened.page.is_disabled("#start-camera")


def test_a_verification_that_breaks_says_why(open_page: OpenPage) -> None:
    opened = open_page(state="error", verify_error="golden.bin is damaged")
    assert opened.text("#problem").startswith("The model could not be verified: golden.bin is")
    assert opened.page.is_disabled("#start-camera")


def test_a_model_that_fails_while_it_runs_says_why(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="error", run_error="out of memory")
    assert opened.text("#problem").startswith("The model failed: out of memory.")


def test_a_fallback_is_told_plainly(open_page: OpenPage) -> None:
    opened = open_page("?backend=webgpu")
    assert "Not what was asked for: this browser has no WebGPU" in opened.text("#notices")
    opened.page.click("#start-golden")
    opened.wait("running")
    opened.page.click("#open-latency")
    opened.until("document.querySelector('#fallback').textContent.includes('no WebGPU')")
    opened.page.click("#close-latency")
    opened.page.click("#open-settings")
    opened.page.select_option("#backend", "wasm")
    opened.until("mejiro.model && mejiro.model.info.fallback === null")
    opened.wait("running")


def test_the_last_choice_counts(open_page: OpenPage) -> None:
    opened = open_page(open_ms=200)
    opened.page.click("#welcome-settings")
    for backend in ("webgpu", "wasm", "webgpu"):
        opened.page.select_option("#backend", backend)
    opened.until("mejiro.model?.info.requested === 'webgpu'")
    opened.wait("ready")
    opened.page.wait_for_timeout(500)
    assert opened.page.evaluate("mejiro.model.info.requested") == "webgpu"
    opened.wait("ready")


def test_threads_are_offered_only_where_the_page_is_isolated(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running", isolated=False)
    opened.page.click("#open-settings")
    options = "[...document.querySelector('#threads').options].map((option) => option.value)"
    assert opened.until(f"(({options}).length && {options})") == ["auto", "1"]
    assert "One thread only" in opened.text("#threads-about")


def test_without_a_site_the_page_says_so(open_page: OpenPage) -> None:
    opened = open_page()
    (opened.host.folder / "site.json").unlink()
    opened.page.reload()
    opened.wait("error")
    assert opened.text("#problem").startswith("The site could not be loaded: site.json: 404")


@pytest.fixture(scope="module")
def video_file(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a short video, recorded by the browser itself."""
    import base64

    page = chromium.new_page()
    recorded = page.evaluate(
        """async () => {
          const canvas = document.createElement("canvas");
          canvas.width = 160; canvas.height = 120;
          const pen = canvas.getContext("2d");
          const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: "video/webm" });
          const parts = [];
          recorder.ondataavailable = ({ data }) => parts.push(data);
          recorder.start();
          for (let turn = 0; turn < 12; turn += 1) {
            pen.fillStyle = `hsl(${turn * 30} 80% 50%)`;
            pen.fillRect(0, 0, 160, 120);
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
          const done = new Promise((resolve) => { recorder.onstop = resolve; });
          recorder.stop();
          await done;
          const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
          return btoa(String.fromCharCode(...bytes));
        }"""
    )
    page.close()
    path = tmp_path_factory.mktemp("video") / "clip.webm"
    path.write_bytes(base64.b64decode(recorded))
    return path
