"""Say what may be chosen about a deploy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mejiro.errors import UsageError
from mejiro_runtime.requirements import Requirement, parse_requirement


class Manager(str, Enum):
    """Name what keeps a service running; AUTO takes the first that the device has."""

    AUTO = "auto"
    SYSTEMD = "systemd"
    SYSTEMD_USER = "systemd-user"
    TERMUX_SERVICES = "termux-services"
    TERMUX_BOOT = "termux-boot"
    DETACHED = "detached"


class Clock(str, Enum):
    """Name what to do about a device whose clock is wrong by more than a day."""

    REFUSE = "refuse"
    SET = "set"
    IGNORE = "ignore"


class Step(str, Enum):
    """Name the steps of a deploy, in their order."""

    CONNECT = "connect"
    PROBE = "probe"
    PLAN = "plan"
    LOCK = "lock"
    UPLOAD = "upload"
    INSTALL = "install"
    VERIFY = "verify"
    TUNE = "tune"
    HEALTH = "health"
    REQUIRE = "require"
    SWITCH = "switch"
    GATE = "gate"
    CONFIRM = "confirm"


@dataclass(frozen=True)
class Progress:
    """Say what a deploy is doing: the step, a sentence, and how far it is where that is known."""

    step: Step
    text: str
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True)
class ServiceOptions:
    """Hold how the service runs: the words of ``mejiro-run run``, each as it takes them."""

    source: str = "camera:0"
    web: str | None = None
    log: str | None = None
    artifact: str | None = None
    backend: str | None = None
    threads: int | None = None
    manager: Manager = Manager.AUTO

    def arguments(self) -> list[str]:
        """Return the words after ``mejiro-run run BUNDLE``."""
        words = ["--source", self.source]
        for name in ("web", "log", "artifact", "backend", "threads"):
            value = getattr(self, name)
            if value is not None:
                words += [f"--{name}", str(value)]
        return words

    @property
    def listens(self) -> tuple[str, int] | None:
        """The address that the live page is served at, if one was asked for."""
        if self.web is None:
            return None
        host, colon, port = self.web.rpartition(":")
        if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
            raise UsageError(f"--web takes HOST:PORT, found '{self.web}'")
        return host.removeprefix("[").removesuffix("]"), int(port)


@dataclass(frozen=True)
class DeployOptions:
    """Hold what may be chosen about a deploy.

    Without `service`, a service that runs already goes on as it was started, with the new release;
    where there is none, none is started. `require`
    is what `mejiro-run bench --require` takes. `signers` is a file of allowed signers for a first
    deploy. `gate_timeout_s` is how long a service may take until it is known to be well.
    """

    service: ServiceOptions | None = None
    require: tuple[str, ...] = ()
    signers: Path | None = None
    tune: bool = True
    clock: Clock = Clock.REFUSE
    gate_timeout_s: float = 120.0

    def __post_init__(self) -> None:
        self.requirements()
        if self.service is not None:
            _ = self.service.listens
        if self.gate_timeout_s <= 0:
            raise UsageError(f"the gate's time must be above 0, found {self.gate_timeout_s:g} s")

    def requirements(self) -> list[Requirement]:
        """Return what is required; UsageError for what cannot be understood."""
        return [parse_requirement(text) for text in self.require]
