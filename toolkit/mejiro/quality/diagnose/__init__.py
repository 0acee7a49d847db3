"""Find out why a quantized file answers worse than its float network, layer by layer."""

from __future__ import annotations

from mejiro.quality.diagnose.breaking import scale_channel
from mejiro.quality.diagnose.diagnosing import DEFAULT_ALONE, diagnose
from mejiro.quality.diagnose.pictures import Examples, examples_from_folder
from mejiro.report.diagnosis.findings import Alone, Cause, CauseKind, Diagnosis, LayerFindings

__all__ = [
    "DEFAULT_ALONE",
    "Alone",
    "Cause",
    "CauseKind",
    "Diagnosis",
    "Examples",
    "LayerFindings",
    "diagnose",
    "examples_from_folder",
    "scale_channel",
]
