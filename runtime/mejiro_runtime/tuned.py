"""Keep what `mejiro-run tune` chose beside a bundle, and see whether it still holds.

The file lies beside the bundle's folder, since nothing may be added inside: its checksums are
those of the host.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from mejiro_runtime import telemetry
from mejiro_runtime.backends import BACKENDS, backend_for, parse_request
from mejiro_runtime.bundle import Bundle, tuned_path
from mejiro_runtime.errors import BackendError, MissingPackage, SpecError, UsageError
from mejiro_runtime.fields import Fields, read_json
from mejiro_runtime.files import write_json

SCHEMA = 1
MAX_BYTES = 1 << 20


class Pace(NamedTuple):
    """Hold the fastest way that was found to run one artifact, and its median from frame to label.

    `backend` is what ``--backend`` takes.
    """

    artifact: str
    sha256: str
    backend: str
    engine: str
    version: str
    threads: int
    median_ns: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return self._asdict()

    @classmethod
    def from_json(cls, value: Any) -> Pace:
        """Read what `to_json` wrote; raises SpecError."""
        fields = Fields(value, "pace")
        pace = cls(
            artifact=fields.text("artifact"),
            sha256=fields.text("sha256"),
            backend=fields.text("backend"),
            engine=fields.text("engine"),
            version=fields.text("version"),
            threads=fields.integer("threads"),
            median_ns=fields.integer("median_ns"),
        )
        fields.finish()
        return pace


class Tuned(NamedTuple):
    """Hold a choice, the best pace of every artifact, and the CPU that they were measured on."""

    choice: Pace
    paces: tuple[Pace, ...]
    cpu: str
    cpus: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema": SCHEMA,
            "choice": self.choice.to_json(),
            "paces": [pace.to_json() for pace in self.paces],
            "cpu": self.cpu,
            "cpus": self.cpus,
        }


def this_cpu() -> tuple[str, int]:
    """Return the name of this machine's CPU and how many it has."""
    return telemetry.cpu_model() or "", os.cpu_count() or 1


def write_tuned(bundle: Path, tuned: Tuned, *, measured: dict[str, Any]) -> Path:
    """Write the choice, and what was `measured` for people to read; return where."""
    path = tuned_path(bundle)
    write_json(path, {**tuned.to_json(), "measured": measured})
    return path


def read_tuned(bundle: Path) -> Tuned:
    """Read the choice for `bundle`; raises SpecError if the file does not hold one."""
    path = tuned_path(bundle)
    fields = Fields(read_json(path, limit_bytes=MAX_BYTES), str(path))
    if (schema := fields.integer("schema")) != SCHEMA:
        raise SpecError(f"{path} has schema {schema}, this version reads {SCHEMA}")
    return Tuned(
        choice=Pace.from_json(fields.mapping("choice")),
        paces=tuple(Pace.from_json(value) for value in fields.items("paces")),
        cpu=fields.text("cpu"),
        cpus=fields.integer("cpus"),
    )


def why_stale(tuned: Tuned, pace: Pace, bundle: Bundle) -> str | None:
    """Return what has changed since `pace` was measured, or None if it still holds."""
    if (tuned.cpu, tuned.cpus) != this_cpu():
        cpu, cpus = this_cpu()
        return f"the machine is now {cpus} × {cpu or 'unknown'}, was {tuned.cpus} × {tuned.cpu}"
    try:
        card = bundle.card(pace.artifact)
        if card.sha256 != pace.sha256:
            return f"{pace.artifact} is another model now"
        request = parse_request(pace.backend, card.format, threads=pace.threads)
        module = BACKENDS[backend_for(card.format)].load()
        engine, _ = module.choose(request)
        version = module.version_of(engine)
    except (UsageError, BackendError, MissingPackage) as error:
        return str(error).partition(";")[0]
    if (engine, version) != (pace.engine, pace.version):
        return f"the engine is now {engine} {version}, was {pace.engine} {pace.version}"
    return None
