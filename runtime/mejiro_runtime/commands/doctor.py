"""Tell what this device has, and what it lacks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.commands.printing import write, write_json
from mejiro_runtime.commands.verify import print_verification, verification_json, verify_artifacts
from mejiro_runtime.doctor import examine
from mejiro_runtime.selection import choose_card
from mejiro_runtime.verify import Verification


def execute(options: argparse.Namespace) -> int:
    """Tell what this device has; with a bundle, also whether it verifies here."""
    found = examine()
    verdicts: list[Verification] = []
    if not options.json:
        _print_device(found)
    if options.bundle:
        bundle = open_bundle(Path(options.bundle))
        options.artifact = options.backend = options.threads = None
        options.allow_fallback = False
        choose_card(bundle)  # raises if no engine is installed for any of its artifacts
        verdicts = verify_artifacts(bundle, options)
        found["verification"] = verification_json(bundle, verdicts)
        if not options.json:
            print_verification(bundle, verdicts)
    if options.json:
        write_json(found)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _print_device(found: dict[str, Any]) -> None:
    device = found["device"]
    write(f"mejiro-runtime {found['runtime']}, Python {device['python']}")
    write(f"  {device['board'] or device['machine']}: {device['cpu']}, {device['cpus']} CPUs")
    if board := found["jetson"]:
        release, jetpack = board["l4t"] or "unknown", board["jetpack"] or "unknown"
        write(f"  Jetson Linux {release}, JetPack {jetpack}")
    for name, engines in found["engines"].items():
        text = ", ".join(f"{key} {value}" for key, value in engines.items()) or "not installed"
        write(f"  {name}: {text}")
    write(f"  packages: {', '.join(f'{k} {v}' for k, v in found['packages'].items())}")
    if battery := found["battery"]:
        told = (f"{name.replace('_', ' ')} {value}" for name, value in battery.items())
        write(f"  battery: {', '.join(told)}")
    write(f"  cameras: {', '.join(found['cameras']) or 'none'}")
    for camera in found["camera_details"]:
        if camera["problem"]:
            write(f"    {camera['device']} {camera['name']}: {camera['problem']}")
        else:
            write(f"    --source {camera['source']}  {camera['name']}")
        for format, sizes in camera["formats"].items():
            rows = (f"{size} at {_rates(rates)}" for size, rates in sizes.items())
            write(f"      {format}: {', '.join(rows)}")
    for line in found["advice"]:
        write(f"  advice: {line}")


def _rates(rates: list[float]) -> str:
    return "/".join(f"{rate:g}" for rate in rates) or "an untold rate"
