"""Run a module's `main` in a process of its own, for files that may end or hang their reader."""

from __future__ import annotations

import sys

# The child imports from where this process does. `python -m` would look into the working folder
# first, and that may hold a stranger's files, a json.py among them.
_PROGRAM = """
import importlib, sys
sys.path[:] = sys.argv.pop(1).split("\\n")
sys.exit(importlib.import_module(sys.argv.pop(1)).main())
"""


def child_command(module: str, *arguments: str) -> list[str]:
    """Return the command that calls ``main()`` of `module` with `arguments` in ``sys.argv[1:]``."""
    return [sys.executable, "-c", _PROGRAM, "\n".join(sys.path), module, *arguments]
