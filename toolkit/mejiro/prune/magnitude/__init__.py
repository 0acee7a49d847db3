"""Put the smallest weights to zero while a network is trained on."""

from __future__ import annotations

from mejiro.prune.magnitude.pattern import Pattern, parse_pattern
from mejiro.prune.magnitude.settings import MagnitudeSettings, Scope, Spare
from mejiro.prune.magnitude.thin import Thinned, thin

__all__ = [
    "MagnitudeSettings",
    "Pattern",
    "Scope",
    "Spare",
    "Thinned",
    "parse_pattern",
    "thin",
]
