"""On a phone, runit or Termux:Boot keeps the launcher; elsewhere there is no such thing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mejiro.deploy import Connection, DeployOptions, ServiceOptions, deploy, status
from mejiro.deploy.options import Manager
from mejiro.deploy.plan import choose_manager
from mejiro.deploy.transport import explain_end
from mejiro.deploy.url import DeviceUrl
from mejiro.errors import DeployError
from mejiro_agent import termux, termux_services
from mejiro_agent.errors import AgentError
from mejiro_agent.prepare import outdated
from mejiro_agent.probe import probe, user_name
from mejiro_agent.root import Root
from mejiro_agent.services import MANAGERS, find_managers
from mejiro_agent.termux_services import Boot, TermuxBoot, TermuxServices
from mejiro_agent.told import ask_status
from mejiro_agent.upload import Upload

WriteProgram = Callable[[str, str], Path]
RELEASE = "0" * 16


@pytest.fixture
def prefix(tmp_path: Path, write_program: WriteProgram, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make this machine a Termux with its services; return the folder of its programs."""
    folder = tmp_path / "usr"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "termux-info").touch()
    (folder / "var" / "service").mkdir(parents=True)
    monkeypatch.setenv("PREFIX", str(folder))
    monkeypatch.delenv("TERMUX_VERSION", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    asked = tmp_path / "asked"
    asked.touch()
    for name in ("service-daemon", "sv", "svlogd", "termux-wake-lock"):
        write_program(name, f'echo "{name} $*" >> "{asked}"')
    write_program("getprop", 'case $1 in *model) echo "Phone 1" ;; *.release) echo 15 ;; esac')
    return folder


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Say of the launcher that it runs, as often as is asked, until the list is changed."""
    answers = [True]
    monkeypatch.setattr(termux_services, "runs", lambda root: answers[-1])
    return answers


def asked(tmp_path: Path) -> list[str]:
    lines = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if " status " not in line]


def test_elsewhere_there_is_no_termux(
    root: Root, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PREFIX", raising=False)
    assert termux.prefix() is None
    assert (termux.environment(), termux.system(), termux.phone()) == ({}, None, None)
    assert not [name for name in find_managers() if name.startswith("termux")]
    for name in ("termux-services", "termux-boot"):
        MANAGERS[name]().remove(root)  # an uninstall asks every manager
    with pytest.raises(AgentError, match="this is no Termux"):
        TermuxServices().install(root, RELEASE)


def test_the_probe_tells_the_phone(
    root: Root, prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mejiro_agent.probe._read", lambda *paths: None)
    found = probe(root)
    assert (found["board"], found["system"]) == ("Phone 1", "Android 15, Termux")
    assert list(found["managers"])[-3:] == ["termux-services", "termux-boot", "detached"]
    assert found["managers"]["termux-services"] is None


def test_a_newer_python_asks_no_program(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = SimpleNamespace(manufacturer="Stand-in", model="Phone 2", release="16")
    monkeypatch.setattr(sys, "platform", "android")
    monkeypatch.setattr(termux.platform, "android_ver", lambda: told, raising=False)
    monkeypatch.setenv("TERMUX_VERSION", "0.119")
    assert termux.phone() == "Stand-in Phone 2"
    assert termux.system() == "Android 16, Termux 0.119"


def test_what_the_ssh_server_left_out_is_settled(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    termux.settle()
    assert os.environ["TMPDIR"] == f"{prefix}/tmp"
    assert os.environ["PATH"].split(":")[0] == f"{prefix}/bin"
    before = dict(os.environ)
    termux.settle()
    assert os.environ == before


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999)
    assert user_name() == "3999999"


def test_a_service_is_written_whole_and_once(
    root: Root, prefix: Path, starts: list[bool], tmp_path: Path
) -> None:
    manager = TermuxServices()
    manager.install(root, RELEASE)
    assert sorted(path.name for path in manager.folder.parent.iterdir()) == ["mejiro"]
    text = (manager.folder / "run").read_text()
    assert text.startswith(f"#!{prefix}/bin/sh\n")
    assert f"export MEJIRO_CACHE={root.cache}\n" in text
    assert f"launch {root.folder}\n" in text
    assert os.access(manager.folder / "log" / "run", os.X_OK)
    assert (root.run / "log" / "config").read_text() == "s1000000\nn3\n"
    assert asked(tmp_path) == ["service-daemon start"]
    (manager.folder / "down").touch()
    manager.install(root, RELEASE)
    assert not (manager.folder / "down").exists()
    assert asked(tmp_path) == ["service-daemon start"] * 2
    assert manager.log(root, 5) == ["tail", "-n", "5", f"{root.run}/log/current"]
    manager.remove(root)
    assert list(manager.folder.parent.iterdir()) == []
    assert not Boot().path.exists()
    assert asked(tmp_path)[-1].startswith("sv -w 30 force-shutdown")


def test_a_launcher_of_another_version_is_started_again(
    root: Root, prefix: Path, starts: list[bool], tmp_path: Path
) -> None:
    manager = TermuxServices()
    manager.install(root, RELEASE)
    run = manager.folder / "run"
    run.write_text(run.read_text().replace("exec ", "exec  "))
    manager.install(root, RELEASE)
    assert asked(tmp_path)[-1] == f"sv -w 30 restart {manager.folder}"


def test_a_launcher_that_does_not_come_is_told(
    root: Root, prefix: Path, starts: list[bool], monkeypatch: pytest.MonkeyPatch,
    write_program: WriteProgram,
) -> None:  # fmt: skip
    monkeypatch.setattr(termux_services, "START_TIMEOUT_S", 0.2)
    starts.append(False)
    with pytest.raises(AgentError, match="the launcher did not start; see .*current"):
        TermuxServices().install(root, RELEASE)
    write_program("sv", "exit 1")
    with pytest.raises(AgentError, match="runsvdir does not take the service up"):
        TermuxServices().install(root, RELEASE)


def test_a_service_of_another_folder_is_left_alone(
    root: Root, prefix: Path, starts: list[bool], tmp_path: Path
) -> None:
    other = Root.at(str(tmp_path / "other"))
    (other.folder / "run").mkdir(parents=True)
    TermuxServices().install(other, RELEASE)
    script = Boot().path.read_text()
    for manager in (TermuxServices(), TermuxBoot()):
        with pytest.raises(AgentError, match="belongs to another folder than"):
            manager.install(root, RELEASE)
        manager.remove(root)
    assert (TermuxServices().folder / "run").is_file()
    assert Boot().path.read_text() == script


def test_a_boot_script_does_what_it_says(root: Root, prefix: Path, tmp_path: Path) -> None:
    """Odd paths too; the script is run by a shell as Termux:Boot would."""
    odd = Root(tmp_path / 'it\'s a "phone" $HOME')
    odd.folder.mkdir()
    Boot().write(odd, ["echo $TMPDIR"])
    path = Boot().path
    text = path.read_text().replace(f"#!{prefix}/bin/sh", "#!/bin/sh")
    text = text.replace(f"export PATH={prefix}/bin\n", "")
    path.write_text(text)
    done = subprocess.run([path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{prefix}/tmp\n"
    assert asked(tmp_path) == ["termux-wake-lock "]
    Boot().remove(root)
    assert path.exists()
    Boot().remove(odd)
    assert not path.exists()


def test_without_its_programs_runit_is_no_choice(
    prefix: Path, write_program: WriteProgram, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "service-daemon").unlink()
    found = find_managers()
    assert found["termux-services"] == (
        "there is no service-daemon; run `pkg install termux-services` on the phone"
    )
    facts = {"managers": found, "user": "u0_a1"}
    name, notes = choose_manager("phone", facts, Manager.AUTO)
    assert name == "termux-boot"
    assert "nothing starts the service again if Android ends it" in notes[-1]
    with pytest.raises(DeployError, match="by termux-services: there is no service-daemon"):
        choose_manager("phone", facts, Manager.TERMUX_SERVICES)


def test_elsewhere_no_manager_of_termux_can_be_asked_for() -> None:
    facts = {"managers": {"systemd": None, "detached": None}, "user": "pi"}
    with pytest.raises(DeployError, match="by termux-boot: it is no Termux"):
        choose_manager("pi", facts, Manager.TERMUX_BOOT)


@pytest.mark.parametrize(
    ("port", "told"), [(8022, "`sshd` in Termux"), (22, "`sudo systemctl enable --now ssh`")]
)
def test_a_server_that_is_off_is_switched_on_as_its_port_says(port: int, told: str) -> None:
    url = DeviceUrl(host="phone", user="u0_a1", port=port)
    said = [f"ssh: connect to host phone port {port}: Connection refused"]
    assert told in str(explain_end(url, 255, said))
    install = "pkg install python" if port == 8022 else "apt install python3"
    assert install in str(explain_end(url, 127, ["sh: python3: not found"]))


def test_where_hard_links_are_refused_files_are_copied(
    root: Root, write_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Android lets no app link a file, not even its own."""

    def refuse(*words: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "link", refuse)
    bundle = write_bundle("bundle", more={"models/twin.onnx": b"a model"})
    manifest = (bundle / "manifest.json").read_bytes()
    upload = Upload(root, manifest, (bundle / "SHA256SUMS").read_bytes(), None)
    for one in upload.begin()["missing"]:
        upload.open_at(one["path"], 0)
        upload.write((bundle / one["path"]).read_bytes())
    upload.finish()
    twin = root.bundle(upload.name) / "models" / "twin.onnx"
    assert twin.read_bytes() == b"a model"
    assert twin.stat().st_nlink == 1


def test_an_environment_whose_python_was_replaced_says_so(root: Root, tmp_path: Path) -> None:
    """As `pkg upgrade` does: python3 is a link to the newest, and the older one is gone."""
    environment = root.release(RELEASE) / "env"
    (environment / "bin").mkdir(parents=True)
    assert outdated(root, RELEASE) is None  # a bundle's own kind of environment
    (environment / "lib" / "python3.13").mkdir(parents=True)
    for name in ("python3.13", "python3.14"):
        (tmp_path / name).touch()
    (tmp_path / "python3").symlink_to("python3.13")
    (environment / "bin" / "python").symlink_to(tmp_path / "python3")
    assert outdated(root, RELEASE) is None
    (tmp_path / "python3").unlink()
    (tmp_path / "python3").symlink_to("python3.14")
    told = "the environment is for python3.13, which is now python3.14 on this device; deploy again"
    assert outdated(root, RELEASE) == told
    (tmp_path / "python3.14").unlink()
    assert "which is gone on this device; deploy again" in str(outdated(root, RELEASE))


def test_a_run_that_ended_for_another_python_tells_that(
    url: str, device: Root, write_bundle: Callable[..., Path]
) -> None:
    service = ServiceOptions(source="synthetic:64x48", manager=Manager.DETACHED)
    options = DeployOptions(service, tune=False)
    with Connection(url) as connection:
        release = deploy(connection, write_bundle("bundle"), options).release
        environment = device.release(release) / "env"
        (environment / "lib" / "python3.99").mkdir(parents=True)
        (environment / "bin" / "python").symlink_to("python3.99")
        child = ask_status(device)["child"]
        os.kill(child, signal.SIGKILL)
        end_s = time.monotonic() + 20
        while not (told := status(connection).last_error):
            assert time.monotonic() < end_s
            time.sleep(0.05)
    assert told == "the environment is for python3.99, which is gone on this device; deploy again"


def test_a_disk_without_links_is_refused(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object, **more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert "symbolic links cannot be made there" in str(probe(root)["writable"])
    assert list(root.folder.glob(".mejiro-*")) == []
