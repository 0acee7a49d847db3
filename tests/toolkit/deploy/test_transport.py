from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mejiro_agent
from mejiro.deploy import Connection, parse_url
from mejiro.deploy.payload import agent_zip, preamble
from mejiro.deploy.transport import command_of, explain_end
from mejiro.errors import DeployError

URL = parse_url("ssh://pi@kitchen:2222")


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (255, "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!", "ssh-keygen -R '[kitchen]:2222'"),
        (
            255,
            'REMOTE HOST IDENTIFICATION HAS CHANGED!\n  ssh-keygen -f "/k" -R "[10.0.0.5]:22"',
            'run `ssh-keygen -f "/k" -R "[10.0.0.5]:22"`',
        ),
        (255, "Host key verification failed.", "connect once with `ssh -p 2222 pi@kitchen`"),
        (255, "pi@kitchen: Permission denied (publickey,password).", "ssh-copy-id pi@kitchen"),
        (
            255,
            "ssh: Could not resolve hostname kitchen: Name or service not known",
            "check the URL",
        ),
        (
            255,
            "connect to host 10.0.0.5 port 22: Connection refused",
            "no ssh server on port 22;",
        ),
        (255, "connect to host kitchen port 22: Connection timed out", "is it switched on"),
        (255, "connect to host kitchen port 22: No route to host", "is it switched on"),
        (255, "Can't open user config file nowhere: No such file", "nowhere"),
        (255, "Timeout, server kitchen not responding.", "was cut"),
        (255, "something new", "ssh to kitchen failed: something new"),
        (127, "sh: 1: exec: python3: not found", "has no python3"),
        (93, "mejiro: old python 3.7", "has Python 3.7; Mejiro needs 3.9"),
        (-9, "", "was killed (signal 9)"),
        (1, "RuntimeError: x", "ended: RuntimeError: x"),
    ],
)
def test_an_end_is_explained_in_one_line(code: int, said: str, told: str) -> None:
    text = str(explain_end(URL, code, said.splitlines()))
    assert told in text
    assert "\n" not in text


@pytest.mark.requires_tool("ssh")
def test_the_command_leaves_the_users_configuration_in_force(tmp_path: Path) -> None:
    command = command_of(URL, ssh_config=tmp_path / "config")
    assert command[1:4] == ["-T", "-F", str(tmp_path / "config")]
    assert "BatchMode=yes" in command
    assert command[-2] == "pi@kitchen"
    assert not any("KnownHosts" in word or "HostKey" in word for word in command)
    assert "-F" not in command_of(URL)


def test_ssh_that_fails_is_told_in_one_line(write_program: Callable[[str, str], Path]) -> None:
    write_program("ssh", "echo 'pi@kitchen: Permission denied (publickey).' >&2; exit 255")
    with pytest.raises(DeployError, match="refuses the login of pi"), Connection(URL):
        pass


def test_a_device_without_python_is_told(write_program: Callable[[str, str], Path]) -> None:
    write_program("ssh", "exec /nowhere/python3")
    with pytest.raises(DeployError, match="no python3"), Connection(URL):
        pass


def test_a_login_that_prints_is_borne(
    write_program: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write_program("ssh", 'echo "Welcome to kitchen"; for last; do :; done; exec sh -c "$last"')
    with Connection(URL, root=str(tmp_path / "root")) as connection:
        assert connection.call("probe")["root"] == str(tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_login_that_prints_something_else_is_refused(
    write_program: Callable[[str, str], Path],
) -> None:
    write_program("ssh", "cat > /dev/null & head -c 200000 /dev/zero; wait")
    with pytest.raises(DeployError, match="starts no agent"), Connection(URL):
        pass


def test_an_old_python_is_refused_by_the_first_line() -> None:
    line = preamble().split(b"\n")[0].decode()
    text = line.replace("sys.version_info < (3, 9)", "sys.version_info < (99,)")
    done = subprocess.run([sys.executable, "-I", "-c", text], capture_output=True, check=False)
    assert done.returncode == 93
    assert b"old python 3." in done.stderr


def test_the_agent_is_the_same_each_time_and_python_3_9() -> None:
    assert agent_zip() == agent_zip.__wrapped__()
    for path in Path(mejiro_agent.__file__).parent.glob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_an_agent_that_dies_is_told(url: str) -> None:
    import os
    import signal

    with Connection(url) as connection:
        os.kill(connection.agent["pid"], signal.SIGKILL)
        with pytest.raises(DeployError, match="was killed"):
            connection.call("probe")


def test_a_defect_of_the_agent_and_an_unknown_call_are_answers(url: str) -> None:
    with Connection(url) as connection:
        with pytest.raises(DeployError, match="knows no call 'dance'"):
            connection.call("dance")
        with pytest.raises(DeployError, match="defect in the agent"):
            connection.call("probe", wrong=1)
        with pytest.raises(DeployError, match="did not ask for the lock"):
            connection.call("confirm")
        assert connection.call("probe")["python"]
