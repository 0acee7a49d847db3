"""Deploy a bundle and say at each step what is being done: `deploy_once.py URL BUNDLE [new]`.

The first line names the agent's process; then one line a step. Whoever reads may end this program
at any of them. With `new` the agent differs from the last one, as after an upgrade of Mejiro, so
that the launcher on the device is replaced too.
"""

import io
import sys
import time
import zipfile
from pathlib import Path

from mejiro.deploy import Connection, DeployOptions, Progress, ServiceOptions, deploy, payload


def renew_agent() -> None:
    stream = io.BytesIO(payload.agent_zip())
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = str(time.time_ns()).encode()
    payload.agent_zip = stream.getvalue  # type: ignore[assignment]


def main(url: str, bundle: str, agent: str = "") -> None:
    if agent == "new":
        renew_agent()

    def tell(progress: Progress) -> None:
        print(progress.step.value, flush=True)

    service = ServiceOptions(source="synthetic:64x48")
    options = DeployOptions(service=service, gate_timeout_s=30)
    with Connection(url) as connection:
        print(connection.agent["pid"], flush=True)
        deploy(connection, Path(bundle), options, on_step=tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
