"""Drive a phone through the system's `adb`: each call has a time limit, each error is one line."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from mejiro.errors import PhoneError

QUICK_S = 30.0
TRANSFER_S = 600.0
_COMPONENT = re.compile(r"[A-Za-z0-9_.]+/[A-Za-z0-9_.$]+")
_PROPERTY = re.compile(r"\[([^\]\n]+)\]: \[([^\]\n]*)\]")
_FAILURE = re.compile(r"Failure \[([A-Z0-9_]+)(?:: ?([^\]\n]*))?\]")
_WENT_AWAY = re.compile(r"(?:adb|error): (?:device|no devices|closed|protocol fault|cannot conn)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]+")

# What adb says of a device that cannot be used -> what to do about it.
STATES = MappingProxyType(
    {
        "unauthorized": "unlock the phone and accept the question about USB debugging there",
        "authorizing": "accept the question about USB debugging on the phone's screen",
        "offline": "plug the phone in again, or run `adb kill-server`",
        "connecting": "wait a moment and try again",
        "no permissions": (
            "this user may not open the USB device: install android-sdk-platform-tools-common, "
            "which brings the udev rules on Debian, and plug the phone in again"
        ),
        "recovery": "start Android on the phone",
        "sideload": "start Android on the phone",
        "bootloader": "start Android on the phone",
    }
)

# What Android's package manager answers -> what it means, and what to do.
INSTALL_FAILURES = MappingProxyType(
    {
        "INSTALL_FAILED_UPDATE_INCOMPATIBLE": (
            "the phone has this package signed with another key; sign with that key, name "
            "another package, or remove the old one and its data with `adb uninstall PACKAGE`"
        ),
        "INSTALL_FAILED_VERSION_DOWNGRADE": (
            "the phone has a newer version of this package; raise --version-code, or remove it "
            "with `adb uninstall PACKAGE`"
        ),
        "INSTALL_FAILED_INSUFFICIENT_STORAGE": "the phone has no room left; free some",
        "INSTALL_FAILED_OLDER_SDK": "the phone's Android is too old for this package",
        "INSTALL_FAILED_USER_RESTRICTED": (
            "the phone forbids it; allow installation over USB in its developer options, and "
            "accept the question on its screen"
        ),
        "INSTALL_PARSE_FAILED_NO_CERTIFICATES": "the package is not signed, or was changed since",
    }
)  # fmt: skip


class Listed(NamedTuple):
    """Hold one line of `adb devices`: the serial, the state, and the model or ""."""

    serial: str
    state: str
    model: str


class Done(NamedTuple):
    """Hold what a program on the phone did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Adb:
    """Talk to one phone; `connect` finds it."""

    serial: str
    model: str = ""

    @classmethod
    def connect(cls, serial: str | None = None) -> Adb:
        """Return the only phone, or the one called `serial`; PhoneError if there is none."""
        return choose(list_devices(), serial or os.environ.get("ANDROID_SERIAL") or None)

    def _call(self, *words: str, timeout_s: float = QUICK_S) -> Done:
        return _run(["-s", self.serial, *words], timeout_s)

    def _must(self, *words: str, timeout_s: float = QUICK_S) -> str:
        done = self._call(*words, timeout_s=timeout_s)
        if done.code:
            raise PhoneError(f"`adb {words[0]}` failed on {self.serial}: {_last(done)}")
        return done.out

    @property
    def present(self) -> bool:
        """Whether the phone still answers."""
        return self._call("get-state").out.strip() == "device"

    def shell(self, *words: str, timeout_s: float = QUICK_S) -> Done:
        """Run a program on the phone; its words reach it as they are."""
        done = self._call("shell", shlex.join(words), timeout_s=timeout_s)
        # adb itself fails with 1 as programs do, and tells only this way that it was adb.
        if done.code and _WENT_AWAY.match(done.err):
            raise PhoneError(f"the phone {self.serial} went away: {_last(done)}")
        return done

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the phone."""
        self._must("push", str(local), remote, timeout_s=TRANSFER_S)

    def properties(self) -> dict[str, str]:
        """Return what the phone says of itself."""
        return dict(_PROPERTY.findall(self.shell("getprop").out))

    @contextmanager
    def reverse(self, port: int) -> Iterator[None]:
        """Let the phone reach this machine's `port` as its own localhost:`port` for a while."""
        name = f"tcp:{port}"
        self._must("reverse", name, name)
        try:
            yield
        finally:
            # The phone may have gone, and its reverse ports with it.
            self._call("reverse", "--remove", name)

    def wake(self) -> None:
        """Turn the screen on; it does not unlock."""
        self.shell("input", "keyevent", "KEYCODE_WAKEUP")

    def start(self, what: str) -> None:
        """Open a web address, or an app's component as package/activity."""
        words = ["am", "start"]
        if _COMPONENT.fullmatch(what):
            words += ["-n", what]
        else:
            words += ["-a", "android.intent.action.VIEW", "-d", what]
        done = self.shell(*words)
        told = f"{done.out}\n{done.err}"
        if done.code or "Error:" in told:
            line = next((one for one in told.splitlines() if "Error:" in one), _last(done))
            raise PhoneError(f"the phone opens nothing for {what}: {_one_line(line)}")

    def install(self, apk: Path) -> None:
        """Install a package, or update it; PhoneError says why Android refuses."""
        done = self._call("install", "-r", str(apk), timeout_s=TRANSFER_S)
        found = _FAILURE.search(f"{done.out}\n{done.err}")
        if found is not None:
            meaning = INSTALL_FAILURES.get(found[1], _one_line(found[2] or "it says no more"))
            raise PhoneError(f"{apk.name} was not installed: {meaning} ({found[1]})")
        if done.code:
            raise PhoneError(f"{apk.name} was not installed: {_last(done)}")


def list_devices() -> list[Listed]:
    """Return what `adb devices` lists."""
    done = _run(["devices", "-l"], QUICK_S)
    if done.code:
        raise PhoneError(f"`adb devices` failed: {_last(done)}")
    return parse_devices(done.out)


def parse_devices(text: str) -> list[Listed]:
    """Read what `adb devices -l` prints."""
    found = []
    # Before it adb may tell that it starts its server.
    listed = text.partition("List of devices attached")[2]
    for line in listed.splitlines():
        serial, _, rest = line.partition(" ") if "\t" not in line else line.partition("\t")
        rest = rest.strip()
        if not serial or not rest:
            continue
        named = re.search(r"\bmodel:(\S+)", rest)
        state = "no permissions" if rest.startswith("no permissions") else rest.split()[0]
        found.append(Listed(serial, state, named[1].replace("_", " ") if named else ""))
    return found


def choose(devices: Sequence[Listed], serial: str | None) -> Adb:
    """Return the one phone to use, or raise PhoneError that says what to do."""
    if not devices:
        raise PhoneError(
            "no phone is connected; plug one in, and turn USB debugging on in its developer options"
        )
    names = ", ".join(f"{one.serial} ({one.model or one.state})" for one in devices)
    if serial is not None:
        devices = [one for one in devices if one.serial == serial]
        if not devices:
            raise PhoneError(f"no phone has the serial {serial}; there is {names}")
    if len(devices) > 1:
        usable = [one for one in devices if one.state == "device"]
        if len(usable) != 1:
            raise PhoneError(f"{len(devices)} phones are connected; choose with --serial: {names}")
        devices = usable
    one = devices[0]
    if one.state != "device":
        advice = STATES.get(one.state, "see `adb devices`")
        raise PhoneError(f"the phone {one.serial} is {_state_words(one.state)}: {advice}")
    return Adb(one.serial, one.model)


def _state_words(state: str) -> str:
    return "not to be opened" if state == "no permissions" else state


def _run(words: Sequence[str], timeout_s: float) -> Done:
    program = shutil.which("adb")
    if program is None:
        raise PhoneError(
            "adb is not installed; on Debian and Ubuntu run `sudo apt install adb`, elsewhere get "
            "Android's platform tools"
        )
    try:
        done = subprocess.run(
            [program, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PhoneError(
            f"`adb {' '.join(words[:4])}` gave no answer within {timeout_s:.0f} s; is the phone "
            "still connected?"
        ) from None
    except OSError as error:
        raise PhoneError(f"{program} cannot be run: {error.strerror}") from None
    out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    return Done(done.returncode, out, err)


def _last(done: Done) -> str:
    """Return the last line that was said, without what could rewrite a terminal."""
    lines = [line for line in f"{done.out}\n{done.err}".splitlines() if line.strip()]
    return _one_line(lines[-1]) if lines else f"it ended with {done.code}"


def _one_line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()[:300]
