"""A bundle for a phone holds the runtime alone, and asks the phone for versions, not for wheels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.bundle import BundleOptions, TargetOptions, write_bundle
from mejiro.bundle.kit import choose_backends
from mejiro.bundle.onnx_version import check_versions, versions_of
from mejiro.bundle.survey import Supply, survey
from mejiro.errors import TargetError
from mejiro.model import Artifact
from mejiro.targets import (
    PackageManager,
    Provided,
    ServiceManager,
    TargetBackend,
    TargetProfile,
    TargetSystem,
    load_target,
)
from mejiro_runtime.bundle import Bundle
from mejiro_runtime.card import Format
from mejiro_runtime.errors import ModelError, SpecError

BACKEND = TargetBackend("onnxruntime", "onnxruntime", provided=True, opset=23, ir=11)
# What this machine's Python brings by itself, so that a test can ask for it.
ENGINE = Provided("onnxruntime", ">=1.0", "json", "python-onnxruntime")
Write = Callable[..., Bundle]


def phone(machine: Callable[[], TargetProfile], *provided: Provided, **changes) -> TargetProfile:
    """Return a profile of this machine that takes everything from its own packages."""
    system = TargetSystem(
        name="termux",
        title="Termux",
        glibc="",
        backends=(BACKEND,),
        packages=(),
        provided=(Provided("numpy", ">=1.23", "numpy", "python-numpy"), ENGINE, *provided),
        system_site_packages=True,
        package_manager=PackageManager.PKG,
        **{"python": ">=3.10", **changes},
    )
    return replace(machine(), systems=(system,), service_manager=ServiceManager.TERMUX)


@pytest.fixture
def write(index, colour_model, colour_pictures, machine, tmp_path) -> Write:
    """Return what writes a bundle for such a phone."""
    artifact, golden = colour_model(), colour_pictures()

    def write(*provided: Provided, **changes) -> Bundle:
        target = TargetOptions(phone(machine, *provided, **changes))
        options = BundleOptions("cat finder", golden, replace=True, target=target)
        return write_bundle([artifact], tmp_path / "out", options=options)

    return write


def check(bundle: Bundle, *, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Let install.sh say whether this machine can have the bundle."""
    command = ["sh", str(bundle.folder / "install.sh"), "--check", "--python", python]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_no_wheel_but_the_runtimes_own_is_brought(write: Write) -> None:
    bundle = write()
    listed = set(bundle.manifest.files)
    (wheel,) = (name for name in listed if name.startswith("wheels/") and name.endswith(".whl"))
    assert wheel.startswith("wheels/mejiro_runtime-")
    assert "mejiro.service.in" not in listed
    assert "install.sh" in listed
    readme = (bundle.folder / "README.md").read_text()
    assert "pkg install python python-numpy python-onnxruntime openssh" in readme
    assert "ssh://NAME@PHONE:8022 --service" in readme
    assert "$" not in readme


def test_the_phone_is_asked_for_its_versions(write: Write) -> None:
    numpy = Provided("numpy", ">=99", "sys", "python-numpy")
    cases = {
        "gone, lost are not installed; run `pkg install python-gone python-lost`": (
            Provided("gone", ">=1", "gone", "python-gone"),
            Provided("lost", ">=1", "lost", "python-lost"),
        ),
        "python-numpy of python-numpy does not work": (),
    }
    for told, provided in cases.items():
        if provided:
            done = check(write(*provided))
            assert (done.returncode, done.stderr.count("\n")) == (1, 1)
            assert told in done.stderr
    # A module without a version is one that does not work.
    done = check(write(numpy))
    assert "sys of python-numpy does not work (" in done.stderr
    assert "run `pkg upgrade`" in done.stderr
    json = Provided("json", ">=3", "json", "python-json")
    assert "python-json is 2.0.9, this bundle needs 3 or newer; run `pkg upgrade`" in (
        check(write(json)).stderr
    )


def test_any_newer_python_will_do_and_an_older_one_not(write: Write) -> None:
    done = check(write())
    assert (done.returncode, done.stderr) == (0, "")
    assert "for Python 3.19 or newer (Termux), found" in check(write(python=">=3.19")).stderr


def test_a_format_without_an_engine_names_the_other(colour_model) -> None:
    artifact = colour_model()
    card = replace(artifact.card, format=Format.TFLITE, file="colours.tflite")
    with pytest.raises(TargetError) as caught:
        choose_backends(
            [replace(artifact, card=card)], TargetOptions(load_target("android-termux"))
        )
    assert str(caught.value) == (
        "android-termux (termux) has no engine for colours.tflite: no wheel of one exists for "
        "aarch64 without glibc; choose a .onnx file, which onnxruntime runs there"
    )


@pytest.mark.parametrize(("opset", "ir"), [(24, 11), (23, 12)])
def test_a_file_newer_than_the_phones_engine_is_refused(
    opset: int, ir: int, colour_model, tmp_path: Path
) -> None:
    artifact = with_versions(colour_model(), opset, ir)
    with pytest.raises(TargetError) as caught:
        check_versions([artifact], BACKEND, "android-termux (termux)")
    told = str(caught.value)
    assert f"colours-fp32.onnx has opset {opset} and IR version {ir}" in told
    assert "reads up to opset 23 and IR version 11; export it again" in told
    assert "\n" not in told


def test_what_mejiro_writes_is_read_and_elsewhere_nobody_looks(colour_model) -> None:
    check_versions([with_versions(colour_model(), 23, 11)], BACKEND, "here")
    check_versions([with_versions(colour_model(), 17, 8)], BACKEND, "here")
    newer = with_versions(colour_model(), 24, 12)
    check_versions([newer], TargetBackend("onnxruntime", "onnxruntime==1.32.0"), "here")


def with_versions(artifact: Artifact, opset: int, ir: int) -> Artifact:
    """Write other versions into a file; nothing else of it is read here."""
    model = onnx.load(artifact.path)
    model.opset_import[0].version, model.ir_version = opset, ir
    artifact.path.write_bytes(model.SerializeToString())
    return artifact


@given(data=st.binary(max_size=60))
def test_any_bytes_have_versions_or_are_refused(data: bytes, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("bytes") / "x.onnx"
    path.write_bytes(data)
    told = ""
    try:
        assert all(version >= 0 for version in versions_of(path))
    except ModelError as error:
        told = str(error)
    assert "\n" not in told


def test_the_survey_leaves_all_to_the_phone() -> None:
    found = survey(load_target("android-termux"))
    assert {one.supply for one in found} == {Supply.PKG}
    assert all(one.available for one in found)
    assert [one.package for one in found] == [
        "numpy>=2",
        "opencv-python>=4.7",
        "onnxruntime>=1.23",
    ]
    assert [one.formats for one in found] == [(), (), ("onnx",)]


@given(version=st.from_regex(r"(>=)?[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True))
def test_a_version_is_one_or_a_lower_end(version: str) -> None:
    found = Provided("numpy", version, "numpy", "python-numpy")
    assert found.moves == version.startswith(">=")
    assert found.requirement in (f"numpy{version}", f"numpy=={version}")
    with pytest.raises(SpecError, match="'version' must look like"):
        Provided("numpy", f"{version}.*", "numpy", "python-numpy")
