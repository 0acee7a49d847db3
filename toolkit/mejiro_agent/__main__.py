"""Start the launcher that a service manager keeps running: ``mejiro-agent.pyz launch ROOT``."""

from __future__ import annotations

import sys

from mejiro_agent.launcher import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
