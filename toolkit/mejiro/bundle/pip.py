"""Ask pip for the wheels of another machine: its platform, its Python, from the user's index.

pip runs as a program of its own, since it has no other interface, and obeys the user's
configuration of indexes and proxies.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import Tag, compatible_tags, cpython_tags

from mejiro.errors import MissingPackage, TargetError
from mejiro.targets import TargetProfile, TargetSystem

# Of pip's own variables, those that would change what is installed rather than where from.
_MEDDLING = frozenset(
    {
        "PIP_CONSTRAINT",
        "PIP_NO_BINARY",
        "PIP_ONLY_BINARY",
        "PIP_PRE",
        "PIP_REQUIREMENT",
        "PIP_REQUIRE_HASHES",
        "PIP_TARGET",
        "PIP_USER",
    }
)
_UNREACHABLE = re.compile(
    r"Retrying \(|NewConnectionError|ConnectionError|Could not fetch URL|"
    r"Temporary failure|timed out|ProxyError|SSLError",
)
_NO_WHEEL = re.compile(r"No matching distribution found for ([^\s(]+)")
_CONSTRAINED = re.compile(r"The user requested \(constraint\) (\S+)")
_CONFLICT = re.compile(r"The conflict is caused by:\n(.*?)\n\s*\n", re.DOTALL)
_AVAILABLE = re.compile(r"^Available versions: (.*)$", re.MULTILINE)
MAX_QUOTED = 300
TIMEOUT_S = 15


class NoWheel(TargetError):
    """Report a requirement for which no index has a wheel that fits; `package` is its text."""

    def __init__(self, package: str) -> None:
        super().__init__(f"no wheel of {package} fits; choose another version")
        self.package = package


class Unreachable(TargetError):
    """Report that no package index answered."""


@dataclass(frozen=True)
class Fit:
    """Say for which machine wheels must be: a Python such as 3.11, and platform tags."""

    python: str
    platforms: tuple[str, ...]

    @classmethod
    def of(cls, profile: TargetProfile, system: TargetSystem) -> Fit:
        """Return what fits `system` of `profile`."""
        return cls(system.oldest_python, system.platform_tags(profile.architecture))

    def tags(self) -> frozenset[Tag]:
        """Return the tags of all wheels that it takes."""
        version = tuple(int(part) for part in self.python.split("."))
        interpreter = f"cp{self.python.replace('.', '')}"
        own = cpython_tags(version, abis=[interpreter], platforms=self.platforms)
        return frozenset([*own, *compatible_tags(version, interpreter, self.platforms)])

    def options(self) -> list[str]:
        """Return pip's options for it; pip takes each platform for itself alone."""
        options = ["--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}"]
        options.append(f"--abi=cp{self.python.replace('.', '')}")
        return options + [f"--platform={platform}" for platform in self.platforms]


def download(
    requirements: Sequence[str],
    folder: Path,
    fit: Fit,
    *,
    constraints: Path | None = None,
    links: Sequence[Path] = (),
    offline: bool = False,
) -> None:
    """Put wheels of `requirements`, and of what those need, into `folder`.

    Wheels in the folders `links` count as those of an index, and with `offline` are the only ones.
    Raises NoWheel, Unreachable, or TargetError with what pip says.
    """
    command = ["download", "--dest", str(folder), *fit.options()]
    if constraints is not None:
        command += ["--constraint", str(constraints)]
    for link in links:
        command += ["--find-links", link.absolute().as_uri()]
    if offline:
        command.append("--no-index")
    done = _run([*command, *requirements], offline=offline)
    if done.returncode:
        raise _failure(done.stderr + done.stdout, offline=offline)


def versions(name: str, fit: Fit) -> list[str] | None:
    """Return the versions of the package `name` that an index has for `fit`; None without index.

    Nothing is downloaded but the index's page.
    """
    command = ["index", "versions", name, *fit.options()]
    done = _run([*command, "--timeout=5", "--retries=1"])
    found = _AVAILABLE.search(done.stdout)
    if done.returncode == 0 and found:
        return found.group(1).split(", ")
    return None if _UNREACHABLE.search(done.stderr) else []


def _run(words: list[str], *, offline: bool = False) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("pip") is None:
        raise MissingPackage(
            "pip", purpose="fetching wheels for a target", install="python -m ensurepip"
        )
    variables = {name: value for name, value in os.environ.items() if name not in _MEDDLING}
    variables.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PYTHONWARNINGS="ignore")
    variables.setdefault("PIP_DEFAULT_TIMEOUT", str(TIMEOUT_S))
    variables.setdefault("PIP_RETRIES", "2")
    if offline:  # a folder of links may be on another machine
        variables.pop("PIP_FIND_LINKS", None)
        variables["PIP_CONFIG_FILE"] = os.devnull
    return subprocess.run(
        [sys.executable, "-m", "pip", *words],
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _failure(said: str, *, offline: bool) -> TargetError:
    """Return what to raise for the output of a pip that failed.

    An index that does not answer has no distribution for pip, so that is looked for first.
    """
    if not offline and _UNREACHABLE.search(said):
        return Unreachable("no package index can be reached; connect to a network")
    if found := _NO_WHEEL.search(said):
        return NoWheel(found.group(1))
    if found := _CONFLICT.search(said):
        # A pin that is absent is a conflict to pip; without an index it is the cache that lacks it.
        if offline and (pins := _CONSTRAINED.findall(found.group(1))):
            return NoWheel(", ".join(dict.fromkeys(pins)))
        reasons = "; ".join(line.strip() for line in found.group(1).splitlines())
        return TargetError(f"these versions do not go together: {reasons[:MAX_QUOTED]}")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = " ".join(line for line in lines if line.startswith("ERROR")) or " ".join(lines[-2:])
    text = text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."
    return TargetError(f"pip cannot fetch the wheels: {text.removeprefix('ERROR: ')}")
