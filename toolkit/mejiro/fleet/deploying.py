"""Connect a roll-out to the deploy of one device; the only place that knows both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mejiro.deploy import Connection, Deployment, DeployOptions, Progress, ServiceOptions, deploy
from mejiro.fleet.inventory import Host, Variables
from mejiro.fleet.roll_out import Action


def deploy_action(bundle: Path, *, ssh_config: Path | None = None) -> Action:
    """Return the action that deploys `bundle` to a device, as its variables say."""

    def act(host: Host, on_step: Callable[[str], None]) -> Deployment:
        options = deploy_options(host.variables)

        def tell(progress: Progress) -> None:
            on_step(progress.step.value)

        with Connection(host.url, root=host.variables.root, ssh_config=ssh_config) as connection:
            return deploy(connection, bundle, options, on_step=tell)

    return act


def deploy_options(variables: Variables) -> DeployOptions:
    """Return the options of one deploy; a source without `service` asks for a service too."""
    service = None
    if variables.service or (variables.service is None and variables.source is not None):
        source = variables.source
        service = ServiceOptions() if source is None else ServiceOptions(source=source)
    return DeployOptions(service=service, require=variables.require or ())
