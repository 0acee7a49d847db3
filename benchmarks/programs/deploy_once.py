"""Deploy a bundle and say at each step what is being done: `deploy_once.py URL BUNDLE`.

The first line names the agent's process; then one line a step. Whoever reads may end this program
at any of them.
"""

import sys
from pathlib import Path

from mejiro.deploy import Connection, DeployOptions, Progress, ServiceOptions, deploy


def main(url: str, bundle: str) -> None:
    def tell(progress: Progress) -> None:
        print(progress.step.value, flush=True)

    service = ServiceOptions(source="synthetic:64x48")
    options = DeployOptions(service=service, gate_timeout_s=30)
    with Connection(url) as connection:
        print(connection.agent["pid"], flush=True)
        deploy(connection, Path(bundle), options, on_step=tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
