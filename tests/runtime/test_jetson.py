"""What a Jetson tells of itself is found in files; no Jetson took part in these tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.jetson import (
    WHEELS,
    Jetson,
    find_jetson,
    gpu_identity,
    has_nvidia_gpu,
    is_jetson,
    package_version,
)

ORIN = "NVIDIA Jetson Orin Nano Developer Kit"
RELEASE = (
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, "
    "DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n"
)
STATUS = """\
Package: nvidia-jetpack-dev
Status: install ok installed
Version: 9.9

Package: nvidia-jetpack
Status: {status}
Architecture: arm64
Version: 6.2+b77

Package: zlib1g
Status: install ok installed
Version: 1:1.2
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "etc/nv_tegra_release", RELEASE)
    write(tmp_path, "proc/device-tree/model", f"{ORIN}\0")
    write(
        tmp_path,
        "proc/device-tree/compatible",
        "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
    )
    write(tmp_path, "var/lib/dpkg/status", STATUS.format(status="install ok installed"))
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


def test_board_release_and_jetpack_are_found(root: Path) -> None:
    found = find_jetson(root)
    assert found == Jetson(ORIN, "36.4.3", "6.2")
    assert str(found) == f"{ORIN}, JetPack 6.2, Jetson Linux 36.4.3"
    assert found.to_json() == {"model": ORIN, "l4t": "36.4.3", "jetpack": "6.2"}


def test_without_the_package_the_release_implies_jetpacks_first_number(root: Path) -> None:
    write(root, "var/lib/dpkg/status", STATUS.format(status="deinstall ok config-files"))
    assert find_jetson(root) == Jetson(ORIN, "36.4.3", "6")
    (root / "var/lib/dpkg/status").unlink()
    assert find_jetson(root) == Jetson(ORIN, "36.4.3", "6")


def test_the_last_package_of_the_list_counts_too(root: Path) -> None:
    write(root, "var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 3\n")
    assert package_version("a", root) == "3"
    assert package_version("b", root) is None


def test_another_board_is_no_jetson(tmp_path: Path) -> None:
    assert find_jetson(tmp_path) is None
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    assert not is_jetson(tmp_path)
    assert not has_nvidia_gpu(tmp_path)
    assert gpu_identity(tmp_path) is None


def test_a_board_that_tells_little_is_a_jetson_still(tmp_path: Path) -> None:
    write(tmp_path, "etc/nv_tegra_release", "not what was expected\n")
    assert find_jetson(tmp_path) == Jetson("Jetson", None, None)
    assert gpu_identity(tmp_path) is None


def test_modules_with_one_chip_are_told_apart(root: Path) -> None:
    nano = gpu_identity(root)
    assert nano == f"{ORIN}, nvidia,p3768-0000+p3767-0005, nvidia,p3767-0005, nvidia,tegra234"
    write(
        root,
        "proc/device-tree/compatible",
        "nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0",
    )
    assert gpu_identity(root) != nano


def test_a_card_of_a_workstation_is_named_by_its_driver(tmp_path: Path) -> None:
    folder = "proc/driver/nvidia/gpus/0000:01:00.0/information"
    write(tmp_path, folder, "Model: \t\t NVIDIA RTX A2000\nIRQ: 1\n")
    assert gpu_identity(tmp_path) == "NVIDIA RTX A2000"
    assert has_nvidia_gpu(tmp_path)
    assert not is_jetson(tmp_path)


@pytest.mark.parametrize(
    ("jetpack", "told"),
    [("5.1.3", "flash JetPack 6"), ("6.2", "cp310"), ("7.2", "cp312"), (None, "Jetson Zoo")],
)
def test_the_right_wheel_is_named(jetpack: str | None, told: str) -> None:
    advice = Jetson(ORIN, None, jetpack).wheel_advice
    assert told in advice
    assert "PyPI's onnxruntime has no GPU on a Jetson" in advice
    assert "\n" not in advice
    assert all("http" not in text for text in WHEELS.values())


@given(st.text(max_size=300), st.text(max_size=300))
def test_odd_files_never_raise(tmp_path_factory, release: str, status: str) -> None:
    root = tmp_path_factory.mktemp("root")
    for path, text in (("etc/nv_tegra_release", release), ("var/lib/dpkg/status", status)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode("utf-8", "surrogatepass"))
    found = find_jetson(root)
    assert found is not None
    assert found.jetpack_major is None or found.jetpack_major >= 0
