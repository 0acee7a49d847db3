"""Send each viewer what it has room for: the newest, never a queue.

A page says "next" when it has shown a picture, and only then is another sent to it; so a slow
one sees fewer pictures, none of them old. Whoever takes nothing for SEND_TIMEOUT_S is let go.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from mejiro_runtime.sinks.web import websocket
from mejiro_runtime.sinks.web.http import head
from mejiro_runtime.sinks.web.hub import Hub
from mejiro_runtime.sinks.web.patience import within

SEND_TIMEOUT_S = 10.0
BOUNDARY = "mejiro-frame"


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send `data` and wait until the system has taken it; raises OSError if that takes long."""
    writer.write(data)
    try:
        await within(SEND_TIMEOUT_S, writer.drain())
    except asyncio.TimeoutError:
        raise ConnectionError("the viewer takes nothing") from None


class PageViewer:
    """Serve one page over its web socket: state at each tick, a picture whenever it asks."""

    def __init__(
        self, hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._hub, self._reader, self._writer = hub, reader, writer
        self._credit = True  # the first picture need not be asked for

    async def serve(self) -> None:
        """Serve until the viewer goes."""
        listening = asyncio.ensure_future(self._listen())
        feeding = asyncio.ensure_future(self._feed())
        try:
            done, _ = await asyncio.wait((listening, feeding), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if isinstance(error, websocket.ProtocolError):
                    self._writer.write(websocket.encode_close(error.code))
        finally:
            for task in (listening, feeding):
                task.cancel()
            await asyncio.gather(listening, feeding, return_exceptions=True)

    async def _feed(self) -> None:
        facts = picture = 0
        while True:
            update = await self._hub.next(self._wants)
            frames = [websocket.encode(websocket.TEXT, update.live)]
            if update.facts_serial != facts:
                facts = update.facts_serial
                frames.append(websocket.encode(websocket.TEXT, update.facts))
            if self._credit and update.picture_serial != picture:
                self._credit, picture = False, update.picture_serial
                frames.append(websocket.encode(websocket.TEXT, update.seen))
                frames.append(websocket.encode(websocket.BINARY, update.picture))
            await send(self._writer, b"".join(frames))

    def _wants(self) -> bool:
        return self._credit

    async def _listen(self) -> None:
        while True:
            kind, payload = await websocket.read_frame(self._reader)
            if kind == websocket.CLOSE:
                self._writer.write(websocket.encode(websocket.CLOSE, payload[:2]))
                return
            if kind == websocket.PING:
                await send(self._writer, websocket.encode(websocket.PONG, payload))
            elif payload == b"next":
                self._credit = True
            elif payload in (b"explain on", b"explain off"):
                self._hub.explain(on=payload == b"explain on")


async def serve_mjpeg(hub: Hub, writer: asyncio.StreamWriter) -> None:
    """Send pictures one after another, for programs that show such a stream."""
    kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    await send(writer, head(HTTPStatus.OK, {"Content-Type": kind}))
    serial = 0
    while True:
        update = await hub.next(lambda: True)
        if update.picture_serial == serial:
            continue
        serial = update.picture_serial
        about = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: "
        await send(
            writer, f"{about}{len(update.picture)}\r\n\r\n".encode() + update.picture + b"\r\n"
        )
