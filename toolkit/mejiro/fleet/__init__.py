"""Do the same to many devices: an inventory, and a roll-out that one failure cannot stop."""

from __future__ import annotations

from mejiro.fleet.inventory import Host, Inventory, parse_inventory, read_inventory
from mejiro.fleet.report import FleetReport, HostResult, Status
from mejiro.fleet.roll_out import Action, roll_out

__all__ = [
    "Action",
    "FleetReport",
    "Host",
    "HostResult",
    "Inventory",
    "Status",
    "parse_inventory",
    "read_inventory",
    "roll_out",
]
