from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mejiro_agent import services, trial, units
from mejiro_agent.errors import AgentError
from mejiro_agent.probe import probe
from mejiro_agent.root import Root
from mejiro_agent.services import Systemd, find_managers, manager_of

WriteProgram = Callable[[str, str], Path]
RELEASE = "0" * 16


@pytest.fixture
def systemctl(write_program: WriteProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a systemctl on PATH that says yes to all and writes down what it was asked; that file."""
    asked = tmp_path / "asked"
    asked.touch()
    for name in ("systemctl", "sudo", "loginctl"):
        script = f'echo "{name} $*" >> "{asked}"'
        if name == "systemctl":
            script += '\ncase "$*" in *is-system-running*) echo running ;; esac'
        if name == "sudo":
            script += '\nshift; exec "$@"'
        write_program(name, script)
    monkeypatch.setattr(services, "SYSTEM_UNIT", tmp_path / "units" / "mejiro.service")
    (tmp_path / "units").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return asked


def _asked(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if "is-system-running" not in line]


def _as_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.os, "getuid", lambda: 1000)


def test_managers_are_found_in_the_order_of_worth(systemctl: Path) -> None:
    assert find_managers() == {"systemd": None, "systemd-user": None, "detached": None}


def test_a_refused_sudo_leaves_the_users_own_systemd(
    systemctl: Path, write_program: WriteProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_a_user(monkeypatch)
    write_program("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    found = find_managers()
    assert found["systemd"] == "sudo demands a password, or refuses"
    assert found["systemd-user"] is None


def test_without_systemd_there_is_one_way(write_program: WriteProgram) -> None:
    write_program("systemctl", "echo offline; exit 1")
    found = find_managers()
    assert found["systemd"] == "systemd does not run here (offline)"
    assert list(found)[-1] == "detached"


def test_a_system_unit_is_written_once_and_goes_through_sudo(
    root: Root, systemctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_a_user(monkeypatch)
    manager = Systemd(user=False)
    manager.install(root, RELEASE)
    text = services.SYSTEM_UNIT.read_text(encoding="utf-8")
    assert f"launch {root.folder}" in text
    assert f"Environment=MEJIRO_CACHE={root.cache}" in text
    asked = _asked(systemctl)
    assert asked[0].startswith("sudo -n install -m 644")
    words = "sudo -n systemctl restart mejiro.service"
    assert words in asked
    systemctl.write_text("", encoding="utf-8")
    monkeypatch.setattr(services, "runs", lambda root: True)
    manager.install(root, RELEASE)
    assert _asked(systemctl) == []
    manager.remove(root)
    assert not services.SYSTEM_UNIT.exists()
    assert "sudo -n systemctl disable --now mejiro.service" in _asked(systemctl)


def test_the_bundles_own_template_is_filled_in(root: Root, systemctl: Path, tmp_path: Path) -> None:
    bundle = root.bundle(RELEASE)
    bundle.mkdir(parents=True)
    (bundle / "mejiro.service.in").write_text(
        "# $description\nUser=$user\nExecStart=$command\nReadWritePaths=$writable\n"
        "WorkingDirectory=$workdir\nEnvironment=$environment\nPrice=$$5\n"
    )
    Systemd(user=False).install(root, RELEASE)
    text = services.SYSTEM_UNIT.read_text(encoding="utf-8")
    assert "Price=$5" in text
    assert f"ReadWritePaths={root.folder}" in text
    (bundle / "mejiro.service.in").write_text("ExecStart=$order\n")
    with pytest.raises(AgentError, match="asks for 'order'"):
        Systemd(user=False).install(root, RELEASE)


def test_a_users_unit_is_the_users(root: Root, systemctl: Path, tmp_path: Path) -> None:
    manager = Systemd(user=True)
    manager.install(root, RELEASE)
    text = manager.unit.read_text(encoding="utf-8")
    assert manager.unit.is_relative_to(tmp_path / "config")
    assert "User=" not in text
    assert "WantedBy=default.target" in text
    asked = _asked(systemctl)
    assert "systemctl --user restart mejiro.service" in asked
    assert "loginctl enable-linger" in asked
    assert manager.log(root, 5)[:2] == ["journalctl", "--user"]


def test_a_service_of_another_folder_is_left_alone(root: Root, systemctl: Path) -> None:
    services.SYSTEM_UNIT.write_text(
        "ExecStart=python3 launch /srv/other/mejiro\n", encoding="utf-8"
    )
    with pytest.raises(AgentError, match="belongs to another folder"):
        Systemd(user=False).install(root, RELEASE)
    assert _asked(systemctl) == []


def test_what_systemd_refuses_is_told_in_one_line(
    root: Root, systemctl: Path, write_program: WriteProgram
) -> None:
    write_program("systemctl", "echo one >&2; echo 'Access denied' >&2; exit 4")
    with pytest.raises(AgentError, match="failed: Access denied"):
        Systemd(user=True).install(root, RELEASE)


def test_a_trial_that_ends_a_service_and_one_that_is_undone(root: Root, systemctl: Path) -> None:
    run = {"arguments": [], "manager": "systemd"}
    trial.begin(root, RELEASE, run)
    trial.serve(root, {"release": None, "run": None})
    assert services.SYSTEM_UNIT.exists()
    undone = trial.undo(root)
    assert undone is not None
    assert not services.SYSTEM_UNIT.exists()
    assert trial.undo(root) is None


def test_a_detached_launcher_is_not_ended_before_another_runs(
    root: Root, systemctl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new launcher ends it by itself; until then it would go back from an abandoned trial."""

    def remove(self: object, root: Root) -> None:
        pytest.fail("it was ended first")

    monkeypatch.setattr(services.Detached, "remove", remove)
    old = {"release": RELEASE, "run": {"arguments": [], "manager": "detached"}}
    trial.begin(root, RELEASE, {"arguments": [], "manager": "systemd"})
    trial.serve(root, old)
    assert "systemctl restart mejiro.service" in _asked(systemctl)


def test_a_manager_that_is_not_there_is_refused() -> None:
    assert manager_of(None) is None
    with pytest.raises(AgentError, match="no service manager 'runit'"):
        manager_of({"manager": "runit"})


def test_odd_paths_survive_in_a_unit() -> None:
    root = Root(Path('/home/pi/100% "mine" $HOME'))
    text = units.unit_text(root, "ExecStart=$command")
    assert '"/home/pi/100%% \\"mine\\" $$HOME"' in text


@pytest.mark.requires_tool("systemd-analyze")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    root = Root(tmp_path / "a b")
    for template in (units.PLAIN_UNIT, units.USER_UNIT):
        path = tmp_path / "mejiro.service"
        path.write_text(units.unit_text(root, template), encoding="utf-8")
        command = ["systemd-analyze", "verify", "--man=no", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        told = [line for line in done.stderr.splitlines() if "mejiro.service" in line]
        assert told == []


def test_the_probe_reads_what_is_there(root: Root) -> None:
    found = probe(root)
    assert found["writable"] is None
    assert found["free_bytes"] == pytest.approx(shutil.disk_usage(root.folder).free, rel=0.1)
    assert found["cpus"] == os.cpu_count()
    assert found["python"].startswith("3.")
