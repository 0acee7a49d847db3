"""Define every error that Mejiro raises on purpose.

Each message says what is wrong, what was found, and what to do, in one line. The command
lines print it and exit with `exit_code`; anything else that escapes is a defect of Mejiro.
"""

from __future__ import annotations


class MejiroError(Exception):
    """Base of all errors that a user can cause and mend."""

    exit_code = 1


class UsageError(MejiroError):
    """Report a request that can never work as it was written."""

    exit_code = 2


class SpecError(MejiroError):
    """Report an input specification, card or manifest that contradicts itself."""


class BundleError(MejiroError):
    """Report a bundle that is incomplete, altered, or of another schema."""


class ModelError(MejiroError):
    """Report a model file that cannot be read or does not have the promised shape."""


class BackendError(MejiroError):
    """Report an inference engine that is absent, unusable, or not what was asked for."""


class MissingPackage(MejiroError):
    """Report an optional package that is not installed, and the extra that brings it."""

    def __init__(self, package: str, *, purpose: str, install: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed; run `{install}`")
        self.package = package


class SourceError(MejiroError):
    """Report a picture, video or camera that gives no frames."""


class EndOfRun(Exception):
    """Report, from a sink, that whoever watches has ended the run: no failure."""
