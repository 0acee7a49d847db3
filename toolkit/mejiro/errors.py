"""Define the host's errors: children of the one base that both command lines catch."""

from __future__ import annotations

from mejiro_runtime.errors import MejiroError, MissingPackage, UsageError

__all__ = [
    "CalibrationError",
    "DataError",
    "ExportError",
    "FleetError",
    "MejiroError",
    "MissingPackage",
    "PruneError",
    "QualityError",
    "UsageError",
    "WeightsError",
]


class DataError(MejiroError):
    """Report a folder of pictures or labels that cannot be used."""


class CalibrationError(DataError):
    """Report pictures that cannot calibrate a quantization."""


class WeightsError(MejiroError):
    """Report weights that are absent, altered, or do not fit the model."""


class ExportError(MejiroError):
    """Report a model that a converter cannot take, or a file it wrote that is not as promised."""


class FleetError(MejiroError):
    """Report the devices of a fleet for which something did not succeed."""


class PruneError(MejiroError):
    """Report channels or weights that cannot be taken out of a model as was asked."""


class QualityError(MejiroError):
    """Report a result that was measured and fell short of what the user asked for."""
