"""Run in the namespaces of a device: mount its root, then answer ssh, or become one command.

`python -m tests.emulation.inside SETUP` is started by `device.py` through unshare(1), with the
listening socket in hand. That socket belongs to the machine's network whatever the device's own
is, so a device without any network can still be reached.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.emulation.boards import BOARDS, CPUINFO, KERNEL
from tests.emulation.root import USER, USER_ID, client_key

SSHD = ("/usr/sbin/sshd", "-i", "-e", "-f", "/etc/ssh/sshd_config")
_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_FAKETIME = "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"


@dataclass(frozen=True)
class Setup:
    """Say what a device is made of.

    `base` is the root file system, which is not written to; `state` the folder that keeps what
    was. `binds` are folders of this machine, by their place in the device, for reading alone. See
    `device.Options` for the others.
    """

    base: str
    state: str
    board: str
    cpu: str
    host_name: str = "raspberrypi"
    home_bytes: int | None = None
    clock: str | None = None
    sudo: bool = True
    binds: dict[str, str] = field(default_factory=dict)
    listen_fd: int | None = None
    own_network: bool = True
    # Whether the device ends with whoever holds the other end of its standard input.
    leashed: bool = False
    command: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the setup as one word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Setup:
        """Read what `to_json` wrote."""
        value = json.loads(text)
        return cls(**{**value, "command": tuple(value["command"])})


def mount(*words: str | Path) -> None:
    """Run mount(8); what it says is in the device's log."""
    subprocess.run(["mount", *map(str, words)], check=True)


def mount_root(setup: Setup) -> Path:
    """Return the device's root: the base with what was written to it over it."""
    state = Path(setup.state)
    upper, work, root = state / "upper", state / "work", state / "root"
    for folder in (upper, work, root):
        folder.mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={setup.base},upperdir={upper},workdir={work}"
    try:
        mount("-t", "overlay", "overlay", "-o", layers, root)
    except subprocess.CalledProcessError:
        # In a container the cache may lie on an overlay itself, which cannot be written through.
        copy = state / "copy"
        if not copy.is_dir():
            subprocess.run(["cp", "-a", "--reflink=auto", setup.base, f"{copy}.part"], check=True)
            Path(f"{copy}.part").rename(copy)
        mount("--bind", copy, root)
    return root


def written(state: Path) -> Path:
    """Return the folder that holds what was written to the device, besides its file systems."""
    copy = state / "copy"
    return copy if copy.is_dir() else state / "upper"


def furnish(setup: Setup, root: Path) -> None:
    """Write what makes this device this device, and mount what a running system has."""
    BOARDS[setup.board].write(root)
    name = setup.host_name
    _write(root, "etc/hostname", f"{name}\n")
    _write(root, "etc/hosts", f"127.0.0.1 localhost {name}\n")
    _write(root, "etc/ssh/sshd_config", _sshd_config(setup))
    granted = f"{USER} ALL=(ALL) NOPASSWD: ALL\n" if setup.sudo else ""
    keep = 'Defaults env_keep += "QEMU_CPU QEMU_UNAME"\nroot ALL=(ALL) ALL\n'
    _write(root, "etc/sudoers", keep + granted, 0o440)
    if setup.clock is not None:
        _write(root, "etc/ld.so.preload", f"{_FAKETIME}\n")
        _write(root, "etc/faketimerc", f"{setup.clock}\n")
    _make_home(setup, root)
    mount("-t", "proc", "proc", root / "proc")
    mount("--bind", root / CPUINFO, root / "proc/cpuinfo")
    _make_devices(root / "dev")
    for place, folder in setup.binds.items():
        target = root / place.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        mount("--bind", folder, target)
        mount("-o", "remount,bind,ro", target)
    socket.sethostname(name)


def _write(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = root / name
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _sshd_config(setup: Setup) -> str:
    """Return the server's settings; without QEMU_CPU a session would meet a CPU of no board."""
    return (
        "HostKey /etc/ssh/ssh_host_ed25519_key\n"
        f"AllowUsers {USER}\n"
        "UsePAM no\n"
        "PasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\n"
        "UseDNS no\n"
        "PidFile none\n"
        "Subsystem sftp /usr/lib/openssh/sftp-server\n"
        f"SetEnv QEMU_CPU={setup.cpu} QEMU_UNAME={KERNEL} LANG=C.UTF-8\n"
    )


def _make_home(setup: Setup, root: Path) -> None:
    home = root / "home" / USER
    home.mkdir(exist_ok=True)
    if setup.home_bytes is not None:
        mount("-t", "tmpfs", "-o", f"mode=755,size={setup.home_bytes}", "tmpfs", home)
    keys = home / ".ssh" / "authorized_keys"
    if not keys.exists():
        keys.parent.mkdir(mode=0o700, exist_ok=True)
        public = client_key(Path(setup.base)).with_suffix(".pub")
        keys.write_bytes(public.read_bytes())
        keys.chmod(0o600)
        for path in (home, keys.parent, keys):
            os.chown(path, USER_ID, USER_ID)


def _make_devices(dev: Path) -> None:
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", dev)
    (dev / "pts").mkdir()
    (dev / "shm").mkdir()
    (dev / "shm").chmod(0o1777)
    terminals = "newinstance,ptmxmode=0666,mode=620,gid=5"
    mount("-t", "devpts", "-o", terminals, "devpts", dev / "pts")
    (dev / "ptmx").symlink_to("pts/ptmx")
    (dev / "fd").symlink_to("/proc/self/fd")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(dev / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        (dev / name).chmod(0o666)


def raise_loopback() -> None:
    """Bring up 127.0.0.1, all that a device without a route has."""
    flags = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, flags)  # SIOCSIFFLAGS


def serve(listen_fd: int, leashed: bool) -> None:
    """Start an ssh server for each connection, and gather what ends: this is process 1."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    listener = socket.socket(fileno=listen_fd)
    watched: list[int] = [listener.fileno(), waker, *([0] if leashed else [])]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if 0 in ready:
            return  # the end of the leash was let go: nothing else is ever written there
        if waker in ready:
            os.read(waker, 4096)
            _gather()
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            _answer(connection)


def _gather() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def _answer(connection: socket.socket) -> None:
    """Hand the connection to a server of its own, as inetd does."""
    if os.fork():
        connection.close()
        return
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(connection.fileno(), 0)
    os.dup2(connection.fileno(), 1)
    os.closerange(3, 256)
    os.execv(SSHD[0], SSHD)


def main(argument: str) -> None:
    """Become the device that `argument` describes."""
    setup = Setup.from_json(argument)
    root = mount_root(setup)
    furnish(setup, root)
    if setup.own_network:
        raise_loopback()
    os.chroot(root)
    os.chdir("/")
    os.umask(0o022)
    os.environ.clear()
    os.environ.update(
        PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        LANG="C.UTF-8",
        QEMU_CPU=setup.cpu,
        QEMU_UNAME=KERNEL,
    )
    if setup.command:
        os.execv(setup.command[0], setup.command)
    assert setup.listen_fd is not None
    Path("/run/ready").touch()
    serve(setup.listen_fd, setup.leashed)


if __name__ == "__main__":
    main(sys.argv[1])
