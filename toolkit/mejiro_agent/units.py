"""Write the unit that lets systemd keep the launcher running."""

from __future__ import annotations

import os
import pwd
import string
import sys

from mejiro_agent.errors import AgentError
from mejiro_agent.root import Root, active, read_state

TEMPLATE_NAME = "mejiro.service.in"
# For bundles without a template of their own.
PLAIN_UNIT = """\
[Unit]
Description=$description
After=network.target

[Service]
User=$user
WorkingDirectory=$workdir
Environment=$environment
ExecStart=$command
Restart=always
RestartSec=2
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=$writable

[Install]
WantedBy=multi-user.target
"""
# A user's systemd may neither change users nor, on many kernels, wall anything off.
USER_UNIT = """\
[Unit]
Description=$description

[Service]
WorkingDirectory=$workdir
Environment=$environment
ExecStart=$command
Restart=always
RestartSec=2

[Install]
WantedBy=default.target
"""


def template_of(root: Root, release: str, *, user: bool) -> str:
    """Return the template of a release's unit; a user's unit is always the plain one."""
    if user:
        return USER_UNIT
    path = root.bundle(release) / TEMPLATE_NAME
    return path.read_text(encoding="utf-8") if path.is_file() else PLAIN_UNIT


def launcher_command(root: Root, *words: str) -> list[str]:
    """Return the command that starts the launcher."""
    return [sys.executable, "-I", str(root.program), "launch", str(root.folder), *words]


def unit_text(root: Root, template: str) -> str:
    """Fill in a unit's template; AgentError if it asks for what is not known."""
    try:
        return string.Template(template).substitute(
            description="Mejiro: image recognition",
            user=pwd.getpwuid(os.getuid()).pw_name,
            workdir=str(root.folder).replace("%", "%%"),
            command=" ".join(quote(word) for word in launcher_command(root)),
            writable=" ".join(_writable(root)),
            environment=quote(f"MEJIRO_CACHE={root.cache}"),
        )
    except (KeyError, ValueError) as error:
        raise AgentError(f"the bundle's {TEMPLATE_NAME} asks for {error}; write it again") from None


def _writable(root: Root) -> list[str]:
    """Return the folders that a service writes to; "-" lets one be absent."""
    folders = [quote(str(root.folder))]
    words = (active(read_state(root))["run"] or {}).get("arguments", [])
    if "--log" in words[:-1]:
        log = root.folder / words[words.index("--log") + 1]
        if not log.is_relative_to(root.folder):
            folders.append(quote(f"-{log.parent}"))
    return folders


def quote(word: str) -> str:
    """Quote a word for a unit file, where `%` begins a specifier and `$` a variable."""
    plain = word.replace("%", "%%")
    if all(c.isalnum() or c in "/._-=:+%@" for c in plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'
