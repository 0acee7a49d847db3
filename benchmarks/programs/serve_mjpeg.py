"""Serve JPEG pictures as a network camera does, to one viewer after another, until it is killed.

`serve_mjpeg.py PICTURES.npz FPS`; the pictures are arrays of bytes. Writes its port in one line.
"""

import contextlib
import socket
import sys
import time

import numpy as np

HEAD = (
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
    b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
)
PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"


def main(pictures_file: str, fps: str) -> None:
    with np.load(pictures_file) as archive:
        pictures = [archive[name].tobytes() for name in archive.files]
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            plug, _ = server.accept()
            with plug, contextlib.suppress(OSError):
                plug.recv(65536)
                plug.sendall(HEAD)
                begin, number = time.monotonic(), 0
                while True:
                    picture = pictures[number % len(pictures)]
                    plug.sendall(PART % (len(picture), picture))
                    number += 1
                    time.sleep(max(0.0, begin + number / float(fps) - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
