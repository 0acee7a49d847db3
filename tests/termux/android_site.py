"""Let Python say that it runs on Android, as that of Termux does from 3.13 on.

It lies in the phone as sitecustomize.py, which Python imports at each start.
"""

from __future__ import annotations

import collections
import os
import platform
import sys
import sysconfig

# Where Python's own build is described has the real system in its name.
os.environ.setdefault(
    "_PYTHON_SYSCONFIGDATA_NAME",
    f"_sysconfigdata_{sys.abiflags}_linux_{getattr(sys.implementation, '_multiarch', '')}",
)
_FIELDS = "release api_level manufacturer model device is_emulator"
_VERSION = collections.namedtuple("_VERSION", _FIELDS)(  # type: ignore[misc]
    "15", 35, "Stand-in", "Phone 1", "phone", False
)
setattr(platform, "android_ver", lambda *words, **more: _VERSION)  # noqa: B010 - 3.13 has it
setattr(platform, "system", lambda: "Android")  # noqa: B010
setattr(sysconfig, "get_platform", lambda: f"android-24-{platform.machine()}")  # noqa: B010
setattr(sys, "platform", "android")  # noqa: B010
