"""Give tests emulated devices, or skip with the reason why there are none.

Each process of a parallel run has devices of its own: one starts in a second, and no test then
waits for, or meets what was left by, another process's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

from tests.emulation.device import Device, Options
from tests.emulation.needs import Unavailable, require_emulation
from tests.emulation.packages import RUNTIME, SITE, SOURCES, make_site
from tests.emulation.root import cache_folder, make_root, python_of

# Read before the tests' own cache folder takes its place: what is made for a device is kept.
CACHE = cache_folder()
_PREFIX = "test"
_PROGRAMS = Path(__file__).with_name("programs")
# Where a device of `pi` or `equipped` finds the programs of this package.
PROGRAMS = "/opt/programs"


class DeviceMaker(Protocol):
    """Start a device with a fresh card; it ends, and is forgotten, with the tests."""

    def __call__(self, options: Options | None = None) -> Device: ...


def skip_or_fail(error: Unavailable) -> NoReturn:
    """Skip; or fail, where MEJIRO_REQUIRE_TOOLS=1 says that whatever can be installed is."""
    if os.environ.get("MEJIRO_REQUIRE_TOOLS") == "1" and not error.refused:
        pytest.fail(f"{error}, and MEJIRO_REQUIRE_TOOLS=1 says that it must be", pytrace=False)
    pytest.skip(str(error))


def _forget_lost_devices() -> None:
    """Delete what a killed test run left behind; its devices ended with it."""
    for folder in (CACHE / "devices").glob(f"{_PREFIX}-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            Device(folder.name, cache=CACHE).reset()


@pytest.fixture(scope="session")
def device_root() -> Path:
    """Return the root file system that all devices start from."""
    try:
        require_emulation()
        return make_root(CACHE)
    except Unavailable as error:
        skip_or_fail(error)


@pytest.fixture(scope="session")
def device_site(device_root: Path) -> Path:
    """Return a folder of engines, numpy and OpenCV for the device's Python."""
    try:
        return make_site(CACHE, python_of(device_root))
    except Unavailable as error:
        skip_or_fail(error)


@pytest.fixture(scope="session")
def device_maker(device_root: Path) -> Iterator[DeviceMaker]:
    """Return a function that starts devices, as many as a test wants."""
    _forget_lost_devices()
    made: list[Device] = []

    def make(options: Options | None = None) -> Device:
        device = Device(f"{_PREFIX}-{os.getpid()}-{len(made)}", cache=CACHE)
        made.append(device)
        return device.start(options, leashed=True)

    yield make
    for device in made:
        device.reset()


@pytest.fixture(scope="session")
def equipment(device_site: Path) -> dict[str, Path]:
    """Return `Options.binds` that give a device the runtime, engines, and our programs."""
    return {SITE: device_site, SOURCES: RUNTIME, PROGRAMS: _PROGRAMS}


@pytest.fixture(scope="session")
def pi(device_maker: DeviceMaker) -> Device:
    """Return a running Raspberry Pi 5 with nothing on it but Python, and no route to anywhere."""
    return device_maker(Options("pi5"))
