"""The stand-in is what it says: Termux's folders and programs, and nothing of a Linux."""

from __future__ import annotations

import pytest

from tests.termux.phone import Phone
from tests.termux.root import HOME, PREFIX, USER

pytestmark = [pytest.mark.emulated, pytest.mark.slow]


def test_a_phone_has_what_termux_has_and_no_more(phone: Phone) -> None:
    assert phone.read("whoami; pwd; echo $PREFIX").split() == [USER, str(HOME), str(PREFIX)]
    absent = "ls -d /bin /usr /tmp /sys /etc/os-release 2>/dev/null; command -v sudo systemctl"
    assert phone.run(absent, check=False).stdout == ""
    assert phone.run("touch /note", check=False).returncode != 0
    program = "import sys, cv2, numpy, onnxruntime; print(sys.base_prefix, sys.platform)"
    assert phone.read(["python3", "-I", "-c", program]) == f"{PREFIX} android"
