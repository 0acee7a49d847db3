"""Take bundles to devices, over ssh or to this machine, so that what ran before cannot be lost."""

from mejiro.deploy.bench import BenchOptions, DeviceReport, bench
from mejiro.deploy.connection import Connection
from mejiro.deploy.device import Status, read_log, rollback, status, uninstall
from mejiro.deploy.options import Clock, DeployOptions, Manager, Progress, ServiceOptions, Step
from mejiro.deploy.plan import Plan
from mejiro.deploy.racing import race_on, remote_race
from mejiro.deploy.steps import Deployment, deploy, measure, plan_deploy
from mejiro.deploy.url import DeviceUrl, parse_url

__all__ = [
    "BenchOptions",
    "Clock",
    "Connection",
    "DeployOptions",
    "Deployment",
    "DeviceReport",
    "DeviceUrl",
    "Manager",
    "Plan",
    "Progress",
    "ServiceOptions",
    "Status",
    "Step",
    "bench",
    "deploy",
    "measure",
    "parse_url",
    "plan_deploy",
    "race_on",
    "read_log",
    "remote_race",
    "rollback",
    "status",
    "uninstall",
]
