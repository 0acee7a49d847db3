"""Define the host's errors: children of the one base that both command lines catch."""

from __future__ import annotations

from mejiro_runtime.errors import MejiroError, MissingPackage, UsageError

__all__ = [
    "ApkError",
    "CalibrationError",
    "DataError",
    "DeployError",
    "ExportError",
    "FleetError",
    "KeyFileError",
    "MejiroError",
    "MissingPackage",
    "PhoneError",
    "PruneError",
    "QualityError",
    "ServeError",
    "SiteError",
    "TargetError",
    "RolledBack",
    "UsageError",
    "WeightsError",
]


class ApkError(MejiroError):
    """Report an Android package that cannot be written as asked, or is not what it should be."""


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


class KeyFileError(MejiroError):
    """Report a key for signing that cannot be read, opened or used."""


class PruneError(MejiroError):
    """Report channels or weights that cannot be taken out of a model as was asked."""


class QualityError(MejiroError):
    """Report a result that was measured and fell short of what the user asked for."""


class SiteError(MejiroError):
    """Report a page's folder that is not as it was written, or a model that no page can run."""


class TargetError(MejiroError):
    """Report a device that a bundle cannot be made for as asked, and what can be chosen."""


class DeployError(MejiroError):
    """Report a device that cannot be reached, or does not take what it was given."""


class RolledBack(DeployError):
    """Report a release that failed on trial, and what runs instead of it again."""


class ServeError(MejiroError):
    """Report a page that cannot be served as asked."""


class PhoneError(MejiroError):
    """Report a phone that cannot be reached over adb, or does not do what it was told."""
