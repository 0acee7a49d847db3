"""Pack the agent, and the few lines that start it from what comes over a connection."""

from __future__ import annotations

import functools
import io
import zipfile
from importlib import resources

# What the device's shell sees: one line, without quotes or anything else that a shell minds.
# Reading unbuffered and by the line leaves what follows in the pipe.
START = 'exec(open(0,"rb",buffering=0,closefd=False).readline())'
OLD_PYTHON_CODE = 93
_DATE = (1980, 1, 1, 0, 0, 0)
# Runs on the device, on any Python 3: an old one must get as far as saying so.
_LOADER = """
import sys
if sys.version_info < (3, 9):
    sys.stderr.write("mejiro: old python %d.%d\\n" % sys.version_info[:2])
    sys.exit(93)
import importlib.util, io, os, zipfile
line = b""
while not line.endswith(b"\\n"):
    piece = os.read(0, 1)
    if not piece:
        sys.exit(1)
    line += piece
data = b""
while len(data) < int(line):
    piece = os.read(0, int(line) - len(data))
    if not piece:
        sys.exit(1)
    data += piece
archive = zipfile.ZipFile(io.BytesIO(data))
class Finder:
    def find_spec(self, name, path=None, target=None):
        for place in (name.replace(".", "/") + "/__init__.py", name.replace(".", "/") + ".py"):
            if place in archive.namelist():
                return importlib.util.spec_from_loader(
                    name, self, origin=place, is_package=place.endswith("__init__.py"))
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        place = module.__spec__.origin
        exec(compile(archive.read(place), place, "exec"), module.__dict__)
sys.meta_path.insert(0, Finder())
from mejiro_agent.serve import serve
sys.exit(serve(data))
"""


@functools.cache
def agent_zip() -> bytes:
    """Return the agent as a zip file that Python runs; same sources, same bytes."""
    package = resources.files("mejiro_agent")
    sources = {
        entry.name: entry.read_bytes()
        for entry in package.iterdir()
        if entry.name.endswith(".py") and entry.is_file()
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        members = {f"mejiro_agent/{name}": data for name, data in sorted(sources.items())}
        for name, data in {"__main__.py": sources["__main__.py"], **members}.items():
            info = zipfile.ZipInfo(name, date_time=_DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o100644 << 16
            archive.writestr(info, data)
    return stream.getvalue()


def preamble() -> bytes:
    """Return what is sent first: the loader as one line, then the agent with its length."""
    data = agent_zip()
    return f"exec({_LOADER!r})\n{len(data)}\n".encode() + data
