"""Replay the golden frames and compare every stage."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mejiro_runtime.bundle import Bundle, open_bundle
from mejiro_runtime.commands.opening import open_artifact
from mejiro_runtime.commands.printing import write, write_json
from mejiro_runtime.selection import choose_card, runnable_cards
from mejiro_runtime.verify import Verification, verify


def execute(options: argparse.Namespace) -> int:
    """Verify one artifact, or all that this device can run; return 1 if one differs."""
    signer = _signer(options)
    bundle = open_bundle(Path(options.bundle))
    verdicts = verify_artifacts(bundle, options)
    if options.json:
        told = {"signed_by": signer} if signer is not None else {}
        write_json({**verification_json(bundle, verdicts), **told})
    else:
        if signer is not None:
            write(f"{bundle.manifest.name}: signed by {signer}")
        print_verification(bundle, verdicts)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _signer(options: argparse.Namespace) -> str | None:
    """Return who signed the bundle, or None if nobody asks."""
    if options.signers is None:
        return None
    from mejiro_runtime.signature import verify_signature

    return verify_signature(Path(options.bundle), Path(options.signers))


def verify_artifacts(bundle: Bundle, options: argparse.Namespace) -> list[Verification]:
    """Verify the artifact that is asked for, or each that this device can run."""
    cards = [choose_card(bundle, artifact=options.artifact, backend=options.backend)]
    if options.artifact is None and options.backend is None:
        cards = runnable_cards(bundle)
    verdicts = []
    for card in cards:
        model, _ = open_artifact(bundle, options, artifact=card.file)
        with model:
            verdicts.append(verify(bundle, model))
    return verdicts


def _not_verified(bundle: Bundle, verdicts: list[Verification]) -> list[str]:
    done = {verdict.artifact for verdict in verdicts}
    return [card.file for card in bundle.manifest.artifacts if card.file not in done]


def verification_json(bundle: Bundle, verdicts: list[Verification]) -> dict[str, Any]:
    """Return plain JSON values."""
    return {
        "bundle": bundle.manifest.name,
        "passed": all(verdict.passed for verdict in verdicts),
        "artifacts": [verdict.to_json() for verdict in verdicts],
        "not_verified": _not_verified(bundle, verdicts),
    }


def print_verification(bundle: Bundle, verdicts: list[Verification]) -> None:
    """Write a verdict on each artifact."""
    write(f"{bundle.manifest.name}: all {len(bundle.manifest.files)} files are as written")
    for verdict in verdicts:
        _print_verdict(verdict)
    for name in _not_verified(bundle, verdicts):
        write(f"not verified: {name} (not asked for, or its engine is not installed)")


def _print_verdict(verdict: Verification) -> None:
    backend = verdict.backend
    write(
        f"{'PASS' if verdict.passed else 'FAIL'} {verdict.artifact} on {backend['engine']} "
        f"{backend['version']} ({backend['accelerator']}), pixels by {verdict.kernel}"
    )
    if backend["fallback"]:
        write(f"  FALLBACK: {backend['fallback']}")
    unit = "" if verdict.unit == "probability" else f" ({verdict.unit})"
    write(
        f"  {verdict.frames} golden frames; outputs within {verdict.largest_output:.6f}{unit}, "
        f"allowed {verdict.tolerance.max_abs:.6f} ({verdict.tolerance.why})"
    )
    if verdict.difference is not None:
        write(f"  first difference: {verdict.difference}")
