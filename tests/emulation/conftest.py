"""Share the tiny bundle of the runtime's tests with those that run it on a device."""

from __future__ import annotations

from tests.runtime.conftest import model_fixtures

__all__ = ["model_fixtures"]
