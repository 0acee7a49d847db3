"""Make an Android package out of a site, sign it, and check it: no Java, no SDK."""

from __future__ import annotations

from mejiro.apk.options import ApkOptions
from mejiro.apk.verifying import Verified, verify_apk
from mejiro.apk.write import Apk, open_apk, write_apk

__all__ = ["Apk", "ApkOptions", "Verified", "open_apk", "verify_apk", "write_apk"]
