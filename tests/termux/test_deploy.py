"""A bundle goes to a phone with Termux as to any device, and comes back after whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mejiro.bundle.archive import write_arrays
from mejiro.deploy import (
    Connection,
    Deployment,
    DeployOptions,
    Manager,
    ServiceOptions,
    Status,
    deploy,
    plan_deploy,
    read_log,
    status,
    uninstall,
)
from mejiro.errors import DeployError, RolledBack
from mejiro_runtime.bundle import checksums_text
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.manifest import FileEntry, Manifest
from tests.termux.phone import Phone
from tests.termux.root import USER_ID

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

SOURCE = "synthetic:64x48@20"
BACK_S = 30.0


def to(phone: Phone) -> Connection:
    return Connection(phone.url, ssh_config=phone.ssh_config)


def deployed(
    phone: Phone, bundle: Path, *, manager: Manager = Manager.AUTO, require: tuple[str, ...] = ()
) -> Deployment:
    """Deploy a bundle as a service, without tuning it."""
    service = ServiceOptions(source=SOURCE, manager=manager)
    with to(phone) as connection:
        return deploy(connection, bundle, DeployOptions(service, require=require, tune=False))


def status_of(phone: Phone) -> Status:
    with to(phone) as connection:
        return status(connection)


def wait_for_frames(phone: Phone, release: str) -> Status:
    """Return the status once frames come of `release`; fail if they do not."""
    end_s = time.monotonic() + BACK_S
    while not ((found := status_of(phone)).running and found.frames):
        assert time.monotonic() < end_s, found
        time.sleep(0.2)
    assert found.release == release
    return found


def processes(phone: Phone, word: str) -> list[int]:
    """Return the numbers of the processes with `word` in their command line."""
    found = f"grep -qa '[{word[0]}]{word[1:]}' $p/cmdline"  # which does not find itself
    line = f"for p in /proc/[0-9]*; do {found} && echo ${{p#/proc/}}; done"
    return [int(one) for one in phone.run(line, check=False).stdout.split()]


def wait_until_none(phone: Phone, word: str) -> None:
    """Fail unless the processes with `word` in their command line end soon."""
    end_s = time.monotonic() + BACK_S
    while found := processes(phone, word):
        assert time.monotonic() < end_s, found
        time.sleep(0.1)


def break_golden(bundle: Path, copy: Path) -> Path:
    """Return a copy of a bundle whose golden outputs are another model's."""
    shutil.copytree(bundle, copy)
    manifest = Manifest.from_json(json.loads((copy / "manifest.json").read_text()))
    name = manifest.golden.expected[0].outputs
    with np.load(copy / name) as arrays:
        changed = [np.roll(arrays[key], 1, axis=-1) for key in arrays.files]
    write_arrays(copy / name, changed)
    manifest.files[name] = FileEntry((copy / name).stat().st_size, sha256_of(copy / name))
    write_json(copy / "manifest.json", manifest.to_json())
    sums = checksums_text(sha256_of(copy / "manifest.json"), manifest)
    (copy / "SHA256SUMS").write_text(sums, encoding="utf-8")
    return copy


def test_runit_keeps_a_release_and_a_broken_one_changes_nothing(
    phone: Phone, bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    first = deployed(phone, bundles[0])
    assert first.plan.run is not None
    assert first.plan.run["manager"] == "termux-services"
    assert first.plan.facts["board"] == "Stand-in Phone 1"
    assert first.plan.facts["system"] == "Android 15, Termux 0.118.3"
    assert any("Termux:Boot" in note for note in first.plan.notes)
    wait_for_frames(phone, first.release)

    # The second brings what differs, in the same environment.
    second = deployed(phone, bundles[1])
    assert second.uploaded_bytes < 0.2 * first.uploaded_bytes
    assert not second.plan.builds_environment
    assert phone.read("ls mejiro/environments | wc -l").strip() == "1"
    wait_for_frames(phone, second.release)

    # What computes something else is refused beside it, and what is too slow on trial goes back.
    broken = break_golden(bundles[0], tmp_path / "broken")
    with pytest.raises(DeployError, match="golden frames: colours-int8.onnx"):
        deployed(phone, broken)
    with pytest.raises(RolledBack, match=f"rolled back to {second.release}, which runs again"):
        deployed(phone, bundles[0], require=("age.p50<1us",))
    wait_for_frames(phone, second.release)

    # Android ends what it wants.
    for word in ("mejiro_runtime", "mejiro-run", "mejiro-agent.pyz"):
        for number in processes(phone, word):
            phone.run(f"kill -9 {number}", check=False)
    wait_for_frames(phone, second.release)
    phone.reboot()
    wait_for_frames(phone, second.release)
    assert phone.read("cat $PREFIX/var/run/wake-lock") == "held"

    lines: list[str] = []
    with to(phone) as connection:
        read_log(connection, lines.append)
        uninstall(connection)
    assert any(f"starting release {second.release}" in line for line in lines)
    assert (
        phone.read("ls -A $PREFIX/var/service; ls -A ~/.termux/boot; ls -A | grep mejiro || true")
        == ""
    )
    wait_until_none(phone, "mejiro")


def test_without_runit_termux_boot_starts_it(
    phone_maker: Callable[..., Phone], bundles: tuple[Path, Path]
) -> None:
    """With a Python before 3.13, too, which takes its phone for a Linux."""
    phone = phone_maker(android=False)
    phone.run("rm $PREFIX/bin/sv")
    first = deployed(phone, bundles[0])
    assert first.plan.run is not None
    assert first.plan.run["manager"] == "termux-boot"
    assert any("pkg install termux-services" in note for note in first.plan.notes)
    wait_for_frames(phone, first.release)
    phone.reboot()
    wait_for_frames(phone, first.release)
    with to(phone) as connection:
        uninstall(connection)
    assert phone.read("ls -A ~/.termux/boot") == ""
    wait_until_none(phone, "mejiro")


def test_what_the_phone_lacks_is_told_with_termuxs_own_words(
    phone_maker: Callable[..., Phone], bundles: tuple[Path, Path]
) -> None:
    phone = phone_maker(lacking=("cv2", "onnxruntime"))
    told = "cv2, onnxruntime are not installed; run `pkg install opencv-python python-onnxruntime`"
    with pytest.raises(DeployError, match=told):
        deployed(phone, bundles[0])
    assert (status_of(phone).release, status_of(phone).running) == (None, False)


def test_a_camera_of_linux_and_a_manager_of_linux_are_refused(
    phone: Phone, bundles: tuple[Path, Path]
) -> None:
    with to(phone) as connection:
        with pytest.raises(DeployError, match="gives its cameras to apps.*termux:0"):
            plan_deploy(connection, bundles[0], DeployOptions(ServiceOptions()))
        service = ServiceOptions(source=SOURCE, manager=Manager.SYSTEMD)
        with pytest.raises(DeployError, match="by systemd: there is no systemctl"):
            plan_deploy(connection, bundles[0], DeployOptions(service))


def test_by_hand_as_the_bundles_readme_says(phone: Phone, bundles: tuple[Path, Path]) -> None:
    copy_in(phone, bundles[0], "colours")
    assert phone.read("cd colours && sh install.sh").splitlines()[-1].endswith("/colours-env")
    run = "cd colours && ../colours-env/bin/mejiro-run"
    assert "golden frames" in phone.read(f"{run} verify .")
    found = json.loads(phone.read(f"{run} doctor --json"))
    assert found["device"]["board"] == "Stand-in Phone 1"
    assert found["battery"] == {
        "temperature_celsius": 31.5,
        "percentage": 81,
        "plugged": "PLUGGED_USB",
    }
    assert any("termux:0" in line for line in found["advice"])

    # The photos of termux-camera-photo; without Termux:API it waits for ever, and is given up.
    assert phone.run(f"{run} verify .").stderr == ""
    given_up = phone.run(f"{run} run . --source 'termux:0?timeout=1' --frames 1", check=False)
    assert given_up.returncode == 1
    assert "termux-camera-photo took no photo in 1 s; the app Termux:API" in given_up.stderr
    wait_until_none(phone, "sleep")
    write_photo(phone)
    lines = phone.read(f"{run} run . --source termux:0 --frames 2 --json").splitlines()
    frames = [one for one in map(json.loads, lines) if "summary" not in one]
    assert len(frames) == 2
    assert all(one["capture_ns"] > 0 for one in frames)
    assert phone.read("ls -d $PREFIX/tmp/mejiro* 2>/dev/null || true") == ""


def copy_in(phone: Phone, folder: Path, name: str) -> None:
    """Copy a folder to the phone's home as its user."""
    shutil.copytree(folder, phone.home / name)
    for path in (phone.home / name, *(phone.home / name).rglob("*")):
        os.chown(path, USER_ID, USER_ID)


def write_photo(phone: Phone) -> None:
    """Put a picture in front of the phone's camera."""
    pixels = np.full((48, 64, 3), (30, 200, 20), np.uint8)
    cv2.imwrite(str(phone.home / "photo.jpg"), pixels)
    (phone.home / "photo.jpg").chmod(0o644)
