"""The emulated device is what it says: its board, its card, its limits, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.emulation import needs
from tests.emulation.__main__ import main
from tests.emulation.boards import BOARDS
from tests.emulation.device import Device, DeviceError, Options
from tests.emulation.fixtures import CACHE, DeviceMaker, skip_or_fail
from tests.emulation.needs import Unavailable, require_emulation

emulated = [pytest.mark.emulated, pytest.mark.slow]


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_says_of_every_core_what_its_cpu_can(board: str) -> None:
    text = BOARDS[board].cpuinfo()
    assert text.count("processor") == text.count(f"CPU part\t: {BOARDS[board].part}") == 4
    assert ("asimddp" in text) == (BOARDS[board].cpu == "cortex-a76")


def test_a_board_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no board 'pi6'; use one of pi3, pi4, pi5"):
        Options(board="pi6")


def test_without_root_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(Unavailable, match="needs root") as caught:
        require_emulation()
    assert caught.value.refused


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(needs, "DEBIAN", Path(__file__))
    monkeypatch.setattr("shutil.which", lambda name: None if name.startswith("qemu") else name)
    with pytest.raises(Unavailable, match="apt-get install qemu-user-static") as caught:
        require_emulation()
    assert not caught.value.refused


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("refused", [True, False])
def test_only_what_could_be_installed_fails_a_run_that_requires_tools(
    monkeypatch: pytest.MonkeyPatch, *, required: bool, refused: bool
) -> None:
    monkeypatch.setenv("MEJIRO_REQUIRE_TOOLS", "1" if required else "")
    expected = pytest.fail.Exception if required and not refused else pytest.skip.Exception
    with pytest.raises(expected, match="a reason"):
        skip_or_fail(Unavailable("a reason", refused=refused))


def test_what_does_not_run_has_no_port(tmp_path: Path) -> None:
    device = Device("none", cache=tmp_path)
    with pytest.raises(DeviceError, match="does not run; start it"):
        _ = device.port
    device.stop()
    device.reset()


def test_the_command_line_says_that_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path))
    assert main(["status"]) == 3
    assert capsys.readouterr().out == "not running\n"


def test_purging_deletes_what_was_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path))
    (tmp_path / "emulation" / "devices" / "old").mkdir(parents=True)
    (tmp_path / "verdicts").mkdir()
    assert main(["purge"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["verdicts"]


class TestOnDevice:
    """What takes a device of its own, or the one that all share."""

    pytestmark = emulated

    def test_it_is_the_board_that_it_says(self, pi: Device) -> None:
        board = BOARDS["pi5"]
        assert pi.read("uname -nm") == "raspberrypi aarch64"
        assert pi.read("cat /proc/cpuinfo") + "\n" == board.cpuinfo()
        assert pi.read("cat /sys/firmware/devicetree/base/model").rstrip("\0") == board.model
        assert pi.read("cat /sys/class/thermal/thermal_zone0/temp") == "48312"
        assert pi.read("id -un; sudo id -un; echo $QEMU_CPU").split() == ["pi", "root", board.cpu]

    def test_ssh_takes_its_settings(self, pi: Device) -> None:
        command = ["ssh", "-F", str(pi.ssh_config), pi.name, "echo", "hello"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == b"hello\n"

    def test_it_has_no_route(self, pi: Device) -> None:
        reach = "import socket; socket.create_connection(('192.0.2.1', 80), 5)"
        assert "Network is unreachable" in pi.run(
            ["python3", "-c", reach], check=False
        ).stderr.decode("utf-8")

    def test_it_may_share_the_network(self, device_maker: DeviceMaker) -> None:
        open_device = device_maker(Options("pi5", network=True))
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            reach = f"import socket; socket.create_connection(('127.0.0.1', {port}), 20)"
            open_device.run(["python3", "-c", reach])
        open_device.reset()

    def test_a_failing_command_is_told_with_its_last_words(self, pi: Device) -> None:
        with pytest.raises(DeviceError, match=r"ended with 1: cat: missing: No such file"):
            pi.run("cat missing")

    def test_two_at_once_and_what_is_written_stays_until_reset(
        self, device_maker: DeviceMaker, pi: Device
    ) -> None:
        other = device_maker(Options("pi3"))
        assert other.port != pi.port
        assert BOARDS["pi3"].part in other.read("cat /proc/cpuinfo")
        other.put(b"kept", "note")
        other.run("sleep 600 >/dev/null 2>&1 &")
        other.stop()
        assert other.running() is None
        other.start(Options("pi3"), leashed=True)
        assert other.read("cat note; pgrep sleep || true") == "kept"
        assert pi.run("test -e note", check=False).returncode == 1
        other.reset()
        other.start(Options("pi3"), leashed=True)
        assert other.read("ls") == ""

    def test_its_limits_are_real(self, device_maker: DeviceMaker) -> None:
        poor = device_maker(Options("pi4", home_bytes=1 << 20, clock="-900d", sudo=False))
        full = poor.run("head -c 3000000 /dev/zero > big", check=False)
        assert b"No space left on device" in full.stderr
        behind = time.time() - int(poor.read("date +%s"))
        assert abs(behind - 900 * 86400) < 86400
        assert b"password is required" in poor.run("sudo -n true", check=False).stderr

    def test_a_device_on_a_leash_ends_with_its_owner(self, device_maker: DeviceMaker) -> None:
        name = f"test-{os.getpid()}-leash"
        code = (
            "import sys, time; from pathlib import Path; "
            "from tests.emulation.device import Device; "
            f"Device({name!r}, cache=Path(sys.argv[1])).start(leashed=True); "
            "print('up', flush=True); time.sleep(600)"
        )
        owner = subprocess.Popen(
            [sys.executable, "-c", code, str(CACHE)],
            cwd=Path(__file__).resolve().parents[2],
            stdout=subprocess.PIPE,
        )
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        device = Device(name, cache=CACHE)
        assert device.running() is not None
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        owner.stdout.close()
        until = time.monotonic() + 30
        while device.running() is not None and time.monotonic() < until:
            time.sleep(0.05)
        assert device.running() is None
        device.reset()
