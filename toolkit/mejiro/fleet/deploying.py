"""Connect a roll-out to the deploy of one device; the only place that knows both."""

from __future__ import annotations

import importlib
from pathlib import Path

from mejiro.errors import UsageError
from mejiro.fleet.roll_out import Action

_MODULE, _FUNCTION = "mejiro.deploy", "deploy_host"


def deploy_action(bundle: Path) -> Action:
    """Return the action that deploys `bundle` to a device.

    It is ``mejiro.deploy.deploy_host(bundle, host, on_step)``, which makes the options of one
    deploy out of `Host.url` and `Host.variables`.
    """
    try:
        deploy = getattr(importlib.import_module(_MODULE), _FUNCTION)
    except (ImportError, AttributeError):
        raise UsageError("this mejiro cannot deploy to devices; install it again") from None
    return lambda host, on_step: deploy(bundle, host, on_step)
