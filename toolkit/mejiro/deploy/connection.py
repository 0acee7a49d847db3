"""Call the agent on a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from mejiro.deploy.payload import preamble
from mejiro.deploy.transport import Transport
from mejiro.deploy.url import DeviceUrl, parse_url
from mejiro.errors import DeployError
from mejiro_agent.errors import Cut
from mejiro_agent.wire import MAX_PAYLOAD_BYTES, Frame, Reader, WireError, send

GREETING_TIMEOUT_S = 90.0
DEFAULT_ROOT = "~/mejiro"
PIECE_BYTES = MAX_PAYLOAD_BYTES // 4


class Connection:
    """Hold one connection to a device's agent; a context manager, for one thread at a time.

    Entering raises DeployError with what to do where the device cannot be reached. Leaving lets
    the agent undo what was not confirmed. `sent_bytes` counts all that went to the device.
    """

    def __init__(
        self,
        url: DeviceUrl | str,
        *,
        root: str | None = None,
        ssh_config: Path | None = None,
    ) -> None:
        self.url = parse_url(url) if isinstance(url, str) else url
        self.root = root or self.url.folder or DEFAULT_ROOT
        self.sent_bytes = 0
        self.agent: dict[str, Any] = {}
        self._ssh_config = ssh_config
        self._transport: Transport | None = None
        self._reader: Reader | None = None

    def __enter__(self) -> Connection:
        self._transport = Transport(self.url, ssh_config=self._ssh_config)
        try:
            self._greet(self._transport)
        except BaseException:
            self._transport.close()
            raise
        return self

    def _greet(self, transport: Transport) -> None:
        self._reader = Reader(transport.output)
        try:
            data = memoryview(preamble())
            with open(transport.input, "wb", buffering=0, closefd=False) as stream:
                while data:
                    data = data[stream.write(data) or 0 :]
            self.sent_bytes += len(preamble())
            self._reader.skip_noise(GREETING_TIMEOUT_S)
            self.agent = self._reader.frame(GREETING_TIMEOUT_S).header["hello"]
        except (Cut, BrokenPipeError):
            raise transport.why_ended() from None
        except (WireError, TimeoutError, KeyError):
            raise DeployError(
                f"{self.url.name} starts no agent: its login prints something else, or it is too "
                f"slow; try `ssh {self.url.login} python3 --version`"
            ) from None
        self.call("root", root=self.root)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def call(
        self, name: str, *, on_line: Callable[[str], None] | None = None, **arguments: Any
    ) -> Any:
        """Ask the agent for one thing, and return its answer.

        `on_line` gets what a step says meanwhile. DeployError if it fails, or the connection ends.
        """
        self.send({"call": name, "arguments": arguments})
        while True:
            header = self._receive()
            if "line" in header:
                if on_line is not None:
                    on_line(str(header["line"]))
                continue
            if "error" in header:
                raise DeployError(f"{self.url.name}: {header['error']}")
            return header.get("result")

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send one message without waiting for an answer; DeployError if the connection ended."""
        transport = self._running()
        try:
            self.sent_bytes += send(transport.input, Frame(header, payload))
        except Cut:
            raise transport.why_ended() from None

    def _receive(self) -> dict[str, Any]:
        transport = self._running()
        if self._reader is None:
            raise DeployError("the connection is not open")
        try:
            return self._reader.frame().header
        except Cut:
            raise transport.why_ended() from None
        except WireError as error:
            raise DeployError(f"{self.url.name} answers with something else: {error}") from None

    def _running(self) -> Transport:
        if self._transport is None:
            raise DeployError("the connection is not open; use it in a `with` block")
        return self._transport
