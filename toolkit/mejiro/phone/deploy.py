"""Say what a deploy to a phone brings there, and bring it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mejiro.apk import Apk
from mejiro.phone.adb import Adb
from mejiro.phone.page import PageOptions, port_of
from mejiro.serve import Contents

PHONE_URL = "android"


@dataclass(frozen=True)
class PhonePlan:
    """Hold what a deploy will do, on which phone."""

    serial: str
    phone: str
    android: str
    what: str
    steps: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "steps": list(self.steps)}

    def lines(self) -> list[str]:
        """Return the plan for people."""
        head = f"{self.phone} ({self.serial}), Android {self.android}: {self.what}"
        return [head, *(f"  {step}" for step in self.steps)]


def plan_page(adb: Adb, contents: Contents, options: PageOptions) -> PhonePlan:
    """Return what opening a site on a phone will do; nothing is changed."""
    port = port_of(contents)
    return _plan(
        adb,
        f"{contents.name} ({contents.version})",
        f"serve {len(contents.entries)} files, {contents.size_bytes / 1e6:.2f} MB, on port {port}",
        f"adb reverse tcp:{port} tcp:{port}",
        f"open http://localhost:{port}/?{options.query()}",
        "wait for its report, and remove the reverse port",
    )


def plan_apk(adb: Adb, apk: Apk) -> PhonePlan:
    """Return what installing a package on a phone will do; nothing is changed."""
    identity = apk.identity
    return _plan(
        adb,
        f"{identity.label} ({identity.package} {identity.version_name})",
        f"adb install -r {apk.path.name}, {apk.size_bytes / 1e6:.2f} MB, signed by "
        f"{apk.fingerprint[:16]}…",
        f"start {apk.component}",
    )


def _plan(adb: Adb, what: str, *steps: str) -> PhonePlan:
    facts = adb.properties()
    maker, model = (facts.get(f"ro.product.{one}", "") for one in ("manufacturer", "model"))
    name = model if model.startswith(maker) else f"{maker} {model}"
    return PhonePlan(
        serial=adb.serial,
        phone=name.strip() or "a phone",
        android=facts.get("ro.build.version.release", "?"),
        what=what,
        steps=steps,
    )


def install_apk(adb: Adb, apk: Apk) -> None:
    """Install a package and start it; PhoneError says what the phone has against it."""
    adb.install(apk.path)
    adb.wake()
    adb.start(apk.component)
