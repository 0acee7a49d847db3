"""Stand in for the adbd of a phone: what the real `adb` program talks to, over a TCP socket.

It speaks the protocol of Android's packages/modules/adb (protocol.txt, SYNC.TXT, SERVICES.TXT):
shell with and without exit codes, files in both directions, installation, and reverse ports, which
truly lead back through adb. Its shell is this machine's, in a folder of its own.
"""

from __future__ import annotations

import itertools
import queue
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from tests.phone.android import Android

CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = struct.unpack("<6I", b"CNXNAUTHOPENOKAYCLSEWRTE")
VERSION = 0x01000001  # from this one on nobody counts checksums
MAX_PAYLOAD = 256 * 1024
TOKEN, SIGNATURE = 1, 2
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
# Another loopback address than the host's: both ends of a reverse port have the same number.
PHONE_ADDRESS = "127.0.0.2"


def _send_at_once(plug: socket.socket) -> None:
    plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Stream:
    """Hold one stream of a connection; each write waits until the other side took the last."""

    def __init__(self, link: Link, own: int) -> None:
        self.link, self.own, self.other = link, own, 0
        self.received: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.ready = threading.Event()
        self.closed = False
        self._rest = b""

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_PAYLOAD):
            self.ready.wait(10)
            if self.closed:
                raise ConnectionError("the stream is closed")
            self.ready.clear()
            self.link.send(WRTE, self.own, self.other, data[start : start + MAX_PAYLOAD])

    def read(self, count: int) -> bytes:
        while len(self._rest) < count:
            piece = self.received.get(timeout=20)
            if piece is None:
                self.received.put(None)
                raise EOFError
            self._rest += piece
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def read_some(self) -> bytes:
        """Return what has come, b"" at the end."""
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        return self.received.get() or b""

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.ready.set()
            self.received.put(None)
            with suppress(OSError):
                self.link.send(CLSE, self.own, self.other, b"")


class Link:
    """Hold one connection of adb's server to the phone."""

    def __init__(self, phone: Adbd, plug: socket.socket) -> None:
        self.phone, self._plug = phone, plug
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._numbers = itertools.count(1)

    def send(self, command: int, arg0: int, arg1: int, data: bytes) -> None:
        head = struct.pack(
            "<6I", command, arg0, arg1, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF
        )
        with self._lock:
            self._plug.sendall(head + data)

    def new_stream(self) -> Stream:
        stream = Stream(self, next(self._numbers))
        self._streams[stream.own] = stream
        return stream

    def open_back(self, service: str) -> Stream:
        """Ask the host to open a stream, as a reverse port does."""
        stream = self.new_stream()
        self.send(OPEN, stream.own, 0, service.encode() + b"\0")
        return stream

    def serve(self) -> None:
        with suppress(OSError, EOFError):
            while True:
                command, arg0, arg1, length, _, _ = struct.unpack("<6I", self._exactly(24))
                self._take(command, arg0, arg1, self._exactly(length))
        for stream in list(self._streams.values()):
            stream.close()
        self._plug.close()

    def close(self) -> None:
        with suppress(OSError):
            self._plug.shutdown(socket.SHUT_RDWR)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._plug.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def _take(self, command: int, arg0: int, arg1: int, data: bytes) -> None:
        if command == CNXN or (command == AUTH and not self.phone.authorized):
            self._greet(asked=command == CNXN or arg0 == SIGNATURE)
        elif command == OPEN:
            stream = self.new_stream()
            stream.other = arg0
            stream.ready.set()
            self.send(OKAY, stream.own, stream.other, b"")
            service = data.rstrip(b"\0").decode()
            threading.Thread(target=self._run, args=(stream, service), daemon=True).start()
        elif arg1 in self._streams:
            self._take_stream(command, self._streams[arg1], arg0, data)

    def _greet(self, *, asked: bool) -> None:
        if self.phone.authorized:
            self.send(CNXN, VERSION, MAX_PAYLOAD, self.phone.banner)
        elif asked:  # no signature is known, and nobody answers the question on the screen
            self.send(AUTH, TOKEN, 0, b"x" * 20)

    def _take_stream(self, command: int, stream: Stream, other: int, data: bytes) -> None:
        if command == OKAY:
            stream.other = other
            stream.ready.set()
        elif command == WRTE:
            stream.received.put(data)
            self.send(OKAY, stream.own, stream.other, b"")
        elif command == CLSE:
            stream.close()
            del self._streams[stream.own]

    def _run(self, stream: Stream, service: str) -> None:
        with suppress(OSError, EOFError, queue.Empty):
            self.phone.answer(self, stream, service)
        stream.close()


class Adbd:
    """Listen for adb's server until closed; `port` is what `adb connect` takes."""

    def __init__(
        self, android: Android, *, features: str = "shell_v2,cmd", authorized: bool = True
    ) -> None:
        self.android, self.authorized = android, authorized
        model = android.properties["ro.product.model"].replace(" ", "_")
        self.banner = f"device::ro.product.model={model};features={features}".encode()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.reversed: dict[str, tuple[str, socket.socket]] = {}
        self._links: list[Link] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for name in list(self.reversed):
            self._kill_reverse(name)
        for link in self._links:
            link.close()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plug, _ = self._socket.accept()
                _send_at_once(plug)
                link = Link(self, plug)
                self._links.append(link)
                threading.Thread(target=link.serve, daemon=True).start()

    def answer(self, link: Link, stream: Stream, service: str) -> None:
        """Do what a service's name asks for, as SERVICES.TXT has it."""
        name, _, rest = service.partition(":")
        kind = name.split(",")[0]
        if kind == "shell" and "v2" in name.split(","):
            self._shell_v2(stream, rest)
        elif kind in ("shell", "exec"):
            done = self.android.run(rest, stream.read)
            stream.write(done.out + done.err)
        elif kind == "sync":
            self._sync(stream)
        elif kind == "reverse":
            self._reverse(link, stream, rest)

    def _shell_v2(self, stream: Stream, command: str) -> None:
        done = self.android.run(command, None)
        for number, data in ((STDOUT, done.out), (STDERR, done.err), (EXIT, bytes([done.code]))):
            if data:
                stream.write(struct.pack("<BI", number, len(data)) + data)

    # Files

    def _sync(self, stream: Stream) -> None:
        calls: dict[bytes, Callable[[Stream, str], None]] = {
            b"STAT": self._stat, b"SEND": self._receive, b"RECV": self._send_file
        }  # fmt: skip
        while True:
            name, length = struct.unpack("<4sI", stream.read(8))
            if name == b"QUIT":
                return
            calls[name](stream, stream.read(length).decode())

    def _stat(self, stream: Stream, path: str) -> None:
        stream.write(struct.pack("<4s3I", b"STAT", *self.android.stat(path)))

    def _receive(self, stream: Stream, target: str) -> None:
        path, _, mode = target.rpartition(",")
        data = b""
        while True:
            name, length = struct.unpack("<4sI", stream.read(8))
            if name == b"DONE":  # and `length` is its time
                break
            data += stream.read(length)
        try:
            self.android.write(path, data, int(mode))
        except OSError as error:
            told = f"couldn't create file: {error.strerror}".encode()
            stream.write(struct.pack("<4sI", b"FAIL", len(told)) + told)
        else:
            stream.write(struct.pack("<4sI", b"OKAY", 0))

    def _send_file(self, stream: Stream, path: str) -> None:
        data = self.android.place(path).read_bytes()
        for start in range(0, len(data), 65536):
            piece = data[start : start + 65536]
            stream.write(struct.pack("<4sI", b"DATA", len(piece)) + piece)
        stream.write(struct.pack("<4sI", b"DONE", 0))

    # Reverse ports

    def _reverse(self, link: Link, stream: Stream, call: str) -> None:
        name, _, rest = call.partition(":")
        if name == "list-forward":
            told = "".join(f"(reverse) {a} {b}\n" for a, (b, _) in self.reversed.items())
            stream.write(f"{len(told):04x}{told}".encode())
        elif name == "killforward" and rest not in self.reversed:
            told = f"listener '{rest}' not found"
            stream.write(f"FAIL{len(told):04x}{told}".encode())
        elif name == "killforward":
            self._kill_reverse(rest)
            stream.write(b"OKAY")
        elif name == "forward":
            near, _, far = rest.removeprefix("norebind:").partition(";")
            try:
                plug = socket.create_server((PHONE_ADDRESS, int(near.removeprefix("tcp:"))))
            except OSError as error:
                told = f"cannot bind listener: {error.strerror}"
                stream.write(f"FAIL{len(told):04x}{told}".encode())
                return
            self.reversed[near] = (far, plug)
            threading.Thread(target=self._lead, args=(link, plug, far), daemon=True).start()
            stream.write(b"OKAY")

    def _kill_reverse(self, name: str) -> None:
        _, plug = self.reversed.pop(name)
        with suppress(OSError):
            plug.shutdown(socket.SHUT_RDWR)
        plug.close()

    def _lead(self, link: Link, plug: socket.socket, far: str) -> None:
        with suppress(OSError):
            while True:
                near, _ = plug.accept()
                _send_at_once(near)
                stream = link.open_back(far)
                for way in (self._inwards, self._outwards):
                    threading.Thread(target=way, args=(near, stream), daemon=True).start()

    def _inwards(self, near: socket.socket, stream: Stream) -> None:
        with suppress(OSError):
            while data := near.recv(65536):
                stream.write(data)
        stream.close()

    def _outwards(self, near: socket.socket, stream: Stream) -> None:
        with suppress(OSError):
            while data := stream.read_some():
                near.sendall(data)
        with suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)
        near.close()
