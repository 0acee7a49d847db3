"""List the names and addresses by which other machines may reach this one."""

from __future__ import annotations

import fcntl
import ipaddress
import re
import socket
import struct
from pathlib import Path

_SIOCGIFADDR = 0x8915  # <linux/sockios.h>
_IF_INET6 = Path("/proc/net/if_inet6")
_LINK_LOCAL_SCOPE = 0x20
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]{1,63})*")


def own_names(*, ipv6: bool = False) -> list[str]:
    """Return "localhost", the host's name and the addresses of its interfaces, in a fixed order.

    IPv6 addresses only on request: many machines change theirs every day, and with them the
    certificate that holds them.
    """
    name = socket.gethostname().lower()
    names = {name, f"{name}.local"} if _HOST_NAME.fullmatch(name) else set()
    addresses = {"127.0.0.1", *_ipv4(), *(("::1", *_ipv6()) if ipv6 else ())}
    ordered = sorted(addresses, key=lambda one: (":" in one, int(ipaddress.ip_address(one))))
    return ["localhost", *sorted(names), *ordered]


def _ipv4() -> set[str]:
    found = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        for _, interface in socket.if_nameindex():
            asked = struct.pack("256s", interface.encode()[:15])
            try:
                answer = fcntl.ioctl(plug.fileno(), _SIOCGIFADDR, asked)
            except OSError:
                continue  # it has no address
            found.add(socket.inet_ntoa(answer[20:24]))
    return found


def _ipv6() -> set[str]:
    try:
        lines = _IF_INET6.read_text(encoding="ascii").splitlines()
    except OSError:
        return set()
    # A link-local address means nothing without its interface, so nobody opens a page by it.
    fields = [line.split() for line in lines]
    return {
        str(ipaddress.IPv6Address(int(one[0], 16)))
        for one in fields
        if len(one) >= 4 and int(one[3], 16) != _LINK_LOCAL_SCOPE
    }
