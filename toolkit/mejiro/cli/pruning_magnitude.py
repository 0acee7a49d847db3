"""Define `mejiro prune --method magnitude`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mejiro.cli.console import print_table, say
from mejiro.cli.pruning import Method, Outcome, Request, tell_gains
from mejiro.prune.magnitude import MagnitudeSettings, Scope, Thinned, parse_pattern, thin
from mejiro.quality.gains import FileGain

_MOST_ROWS = 12

_OPTIONS = (
    click.option(
        "--sparsity",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="magnitude: share of zeros; default: 0.8, or what --pattern makes.",
    ),
    click.option("--pattern", metavar="N:M", help="magnitude: keep N of M inputs, such as 2:4."),
    click.option(
        "--scope",
        type=click.Choice([scope.value for scope in Scope]),
        help="magnitude: the same share of each layer, or by what layers need (default).",
    ),
)


def magnitude_settings(options: Mapping[str, Any]) -> MagnitudeSettings:
    """Return the settings that the options mean; raises UsageError."""
    given: dict[str, Any] = {}
    if options["pattern"] is not None:
        given["pattern"] = parse_pattern(options["pattern"])
        given["sparsity"] = given["pattern"].sparsity
    if options["sparsity"] is not None:
        given["sparsity"] = options["sparsity"]
    if options["scope"] is not None:
        given["scope"] = Scope(options["scope"])
    return MagnitudeSettings(**given)


def _prune(request: Request) -> Outcome:
    settings = magnitude_settings(request.options)
    if request.pictures is None:
        request.shown.note(
            "there are no pictures to train on (--data), so all is put to zero at once; expect to "
            "lose much"
        )
    thinned = thin(
        request.model,
        settings,
        pictures=request.pictures,
        training=request.training,
        events=request.events,
    )
    gains = request.gains(thinned.model, sparse=True)
    record = {
        "settings": settings.to_json(),
        "sparsity": round(thinned.sparsity, 6),
        "overall": round(thinned.overall, 6),
        "layers": [layer.to_json() for layer in thinned.layers],
        "files": {name: gain.to_json() for name, gain in gains.items()},
    }
    return Outcome(thinned.model, record, lambda: _tell(thinned, gains))


def _tell(thinned: Thinned, gains: Mapping[str, FileGain]) -> None:
    chosen = [layer for layer in thinned.layers if layer.thinned]
    say(
        f"{100 * thinned.sparsity:.1f}% of the weights of {len(chosen)} layers are zero, "
        f"{100 * thinned.overall:.1f}% of all kernels; each layer is in pruning.json"
    )
    largest = sorted(thinned.layers, key=lambda layer: -layer.weights)[:_MOST_ROWS]
    rows = [
        [one.layer, f"{one.weights:,}", f"{100 * one.share:.1f}%" if one.thinned else "spared"]
        for one in largest
    ]
    print_table(["largest layers", ">weights", ">zero"], rows)
    tell_gains(gains, "its zeros save bytes, no time")


MAGNITUDE = Method(
    names=("sparsity", "pattern", "scope"),
    options=_OPTIONS,
    check=magnitude_settings,
    prune=_prune,
)
