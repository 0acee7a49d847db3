from __future__ import annotations

import pytest

from mejiro.deploy.wheels import Machine, why_not_installable

PI = Machine("aarch64", (3, 11), (2, 36))
OLD_PI = Machine("armv7l", (3, 11), (2, 36))
LITERT = "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl"


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        (LITERT, PI),
        (f"wheels/{LITERT}", PI),
        ("mejiro_runtime-0.1.0-py3-none-any.whl", PI),
        ("numpy-2.4.6-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl", PI),
        ("opencv_python_headless-5.0.0.93-cp37-abi3-manylinux2014_aarch64.whl", PI),
        ("tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_armv7l.whl", OLD_PI),
        ("numpy-1.26.4-1-cp311-cp311-linux_armv6l.whl", OLD_PI),
        ("six-1.16.0-py2.py3-none-any.whl", PI),
    ],
)
def test_a_wheel_fits(name: str, machine: Machine) -> None:
    assert why_not_installable([name], machine) is None


@pytest.mark.parametrize(
    ("name", "machine", "reason"),
    [
        (LITERT, PI._replace(python=(3, 13)), "is for cp311, the device has Python 3.13"),
        (LITERT, PI._replace(architecture="x86_64"), "is for aarch64, the device is x86_64"),
        (LITERT, OLD_PI, "is for aarch64, the device is armv7l"),
        (LITERT, PI._replace(glibc=(2, 17)), "needs glibc 2.27 or newer, the device has 2.17"),
        (LITERT, PI._replace(glibc=None), "needs glibc"),
        ("a-1-cp313-abi3-any.whl", PI, "is for cp313"),
        ("a-1-py2-none-any.whl", PI, "is for py2"),
        ("a-1-cp311-cp311-macosx_11_0_arm64.whl", PI, "is for macosx_11_0_arm64"),
        ("a-1-cp311-cp311-musllinux_1_2_aarch64.whl", PI, "is for musllinux"),
        ("a.whl", PI, "is not the name of a wheel"),
    ],
)
def test_a_wheel_that_does_not_fit_says_why(name: str, machine: Machine, reason: str) -> None:
    told = why_not_installable(["b-1-py3-none-any.whl", name], machine)
    assert told is not None
    assert reason in told
