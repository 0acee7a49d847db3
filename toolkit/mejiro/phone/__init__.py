"""Put what was bundled onto an Android phone, over adb."""

from mejiro.phone.adb import Adb
from mejiro.phone.benchmark import BenchmarkOptions, benchmark, find_subject
from mejiro.phone.deploy import (
    PHONE_URL,
    PhonePlan,
    install_apk,
    plan_apk,
    plan_page,
)
from mejiro.phone.page import PageOptions, PhonePage

__all__ = [
    "PHONE_URL",
    "Adb",
    "BenchmarkOptions",
    "PageOptions",
    "PhonePage",
    "PhonePlan",
    "benchmark",
    "find_subject",
    "install_apk",
    "plan_apk",
    "plan_page",
]
