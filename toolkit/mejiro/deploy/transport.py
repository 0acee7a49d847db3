"""Start the agent: through the system's `ssh`, or as a process of this machine."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from mejiro.deploy.payload import OLD_PYTHON_CODE, START
from mejiro.deploy.url import DeviceUrl
from mejiro.errors import DeployError, MissingPackage

CONNECT_TIMEOUT_S = 15
SSH_OPTIONS = {
    "BatchMode": "yes",  # a question could not be answered; and fleets ask nobody
    "ConnectTimeout": str(CONNECT_TIMEOUT_S),
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "EscapeChar": "none",
    "RemoteCommand": "none",  # a host's own would stand in the way of ours
}
SSH_FAILED, NOT_FOUND = 255, 127
TERMUX_PORT = 8022  # where the ssh server of Termux listens, an app with packages of its own
KEPT_ERROR_LINES = 50
MAX_LINE_BYTES = 4096
# What ssh says -> what that means here. The first that is found counts.
SSH_ERRORS = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed",
        (
            "{name} has another key than before: it was set up anew, or somebody stands between; "
            "if you know why, run `{forget}`, then connect once with `{ssh}`"
        ),
    ),
    (
        r"Host key verification failed|No .* host key is known",
        "{name} is not known to this machine yet; connect once with `{ssh}` and confirm its key",
    ),
    (
        r"Permission denied|Too many authentication failures",
        (
            "{name} refuses the login of {user}; let `{ssh}` work without a password first "
            "(`ssh-copy-id {login}` copies your key)"
        ),
    ),
    (
        r"Could not resolve hostname",
        "the name {host} is not known; check the URL, or give the device's address",
    ),
    (
        r"Connection refused",
        (
            "{name} answers, but runs no ssh server on port {port}; switch it on there "
            "({switch_on}), or name another port"
        ),
    ),
    (
        r"timed out|No route to host|Network is unreachable|Host is down",
        "{name} does not answer; is it switched on and in this network?",
    ),
    (
        r"(?:Can't open user config file|Bad configuration option|terminating, \d+ bad conf).*",
        "ssh does not take its configuration ({found})",
    ),
    (
        r"not responding|Connection (?:closed|reset)|Broken pipe|closed by remote host",
        "the connection to {name} was cut; deploy again",
    ),
)


class Transport:
    """Hold a running agent's pipes and what it, or ssh, says on standard error."""

    def __init__(self, url: DeviceUrl, *, ssh_config: Path | None = None) -> None:
        self.url = url
        command = command_of(url, ssh_config=ssh_config)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C is for this process, which then ends the agent's work in order.
            start_new_session=True,
        )
        self._said: deque[str] = deque(maxlen=KEPT_ERROR_LINES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        stream = self.process.stderr
        with contextlib.suppress(OSError, ValueError):
            while stream is not None and (line := stream.readline(MAX_LINE_BYTES)):
                self._said.append(line.decode("utf-8", "replace").strip())

    @property
    def input(self) -> int:
        """Where the agent reads."""
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        return self.process.stdin.fileno()

    @property
    def output(self) -> int:
        """Where the agent writes."""
        assert self.process.stdout is not None  # noqa: S101 - for the type checker
        return self.process.stdout.fileno()

    def why_ended(self) -> DeployError:
        """Return why there is no agent, or none any more, as one line with what to do."""
        try:
            code: int | None = self.process.wait(5)
        except subprocess.TimeoutExpired:
            code = None
        self._listener.join(1)
        return explain_end(self.url, code, [line for line in self._said if line])

    def close(self) -> None:
        """Close the pipes, which ends the agent, and wait for it: it may have much to undo."""
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._listener.join(1)
        # A connection that ssh keeps for others may hold the pipe open, and closing would wait.
        if self.process.stderr is not None and not self._listener.is_alive():
            self.process.stderr.close()


def command_of(url: DeviceUrl, *, ssh_config: Path | None = None) -> list[str]:
    """Return the command that starts Python on the device; MissingPackage without `ssh`."""
    if url.folder is not None:
        return [sys.executable, "-I", "-c", START]
    program = shutil.which("ssh")
    if program is None:
        raise MissingPackage("ssh", purpose="deploying", install="apt-get install openssh-client")
    command = [program, "-T"]
    if ssh_config is not None:
        command += ["-F", str(ssh_config)]
    for name, value in SSH_OPTIONS.items():
        command += ["-o", f"{name}={value}"]
    if url.port is not None:
        command += ["-p", str(url.port)]
    return [*command, "--", url.login, f"exec python3 -I -c {shlex.quote(START)}"]


def explain_end(url: DeviceUrl, code: int | None, said: list[str]) -> DeployError:
    """Return what the end of the connection means: `code` of ssh or Python, and what it `said`."""
    text = "\n".join(said)
    told = said[-1] if said else f"exit code {code}"
    if code == OLD_PYTHON_CODE:
        version = told.rsplit(" ", 1)[-1]
        return DeployError(
            f"{url.name} has Python {version}; Mejiro needs 3.9 or newer there, and its runtime "
            "3.10: install a newer system"
        )
    if code == NOT_FOUND or "python3: not found" in text:
        install = "pkg install python" if url.port == TERMUX_PORT else "apt install python3"
        return DeployError(f"{url.name} has no python3; install it there (`{install}`)")
    if code == SSH_FAILED:
        return DeployError(_explain_ssh(url, text, told))
    if code is not None and code < 0:
        return DeployError(f"the agent on {url.name} was killed (signal {-code}); deploy again")
    return DeployError(f"the agent on {url.name} ended: {told}")


def _explain_ssh(url: DeviceUrl, text: str, told: str) -> str:
    # The user's configuration may name another port or file than the URL tells, and ssh says so.
    refused = re.search(r"port (\d+): Connection refused", text)
    forget = re.search(r"ssh-keygen -f \S+ -R \S+", text)
    key = f"'[{url.host}]:{url.port}'" if url.port else url.host
    port = "" if url.port is None else f"-p {url.port} "
    port_number = refused[1] if refused else url.port or 22
    words = {
        "name": url.name,
        "host": url.host,
        "login": url.login,
        "user": url.user or "this user",
        "port": port_number,
        "switch_on": (
            "`sshd` in Termux, and `pkg install openssh` before it"
            if int(port_number) == TERMUX_PORT
            else "`sudo systemctl enable --now ssh`"
        ),
        "ssh": f"ssh {port}{url.login}",
        "forget": forget[0] if forget else f"ssh-keygen -R {key}",
    }
    for pattern, meaning in SSH_ERRORS:
        if found := re.search(pattern, text, re.IGNORECASE):
            return meaning.format(**words, found=found[0])
    return f"ssh to {url.name} failed: {told}"
