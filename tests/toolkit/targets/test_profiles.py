"""Every profile that Mejiro brings is read, and what is wrong in one is told with its place."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import pytest
import tomllib
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import MejiroError, UsageError
from mejiro.targets import (
    AddOn,
    AppForm,
    AppTarget,
    Architecture,
    Quantization,
    ServiceManager,
    TargetProfile,
    app_names,
    load_profile,
    load_target,
    profile_names,
    read_profile,
    target_names,
)
from mejiro_runtime.errors import SpecError
from mejiro_runtime.sources import SOURCES

EXPECTED = (
    "android-termux jetson-orin linux-aarch64 linux-x86_64 raspberry-pi-3 raspberry-pi-32bit "
    "raspberry-pi-4 raspberry-pi-5 raspberry-pi-zero-2-w"
)
PROFILE = """schema = 1
name = "board"
title = "A board"
architecture = "aarch64"
cameras = ["camera:0"]
apt = ["python3-venv"]
threads = 2

[[system]]
name = "one"
title = "One"
python = "3.11"
glibc = "2.36"
packages = ["numpy==1.0"]

[[system.backend]]
name = "litert"
package = "ai-edge-litert==2.3.0"
"""


def text_of(name: str) -> str:
    return (resources.files("mejiro_targets") / f"{name}.toml").read_text(encoding="utf-8")


def test_the_targets_are_those_promised() -> None:
    assert target_names() == EXPECTED.split()
    assert app_names() == ["android-apk", "android-web"]
    assert sorted([*target_names(), *app_names(), "coral-usb"]) == profile_names()


@pytest.mark.parametrize("name", EXPECTED.split())
def test_a_target_is_called_as_its_file_and_survives_json(name: str) -> None:
    profile = load_target(name)
    assert profile.name == name
    value = json.loads(json.dumps(profile.to_json()))
    assert [one["name"] for one in value["systems"]] == [one.name for one in profile.systems]
    assert profile.cameras[0].partition(":")[0] in SOURCES
    for system in profile.systems:
        # One engine a format is pinned, or says who brings it.
        assert all("==" in one.package or one.source or one.provided for one in system.backends)
        if not system.glibc:
            continue
        tags = system.platform_tags(profile.architecture)
        minor = system.glibc.partition(".")[2]
        assert tags[0] == f"manylinux_2_{minor}_{profile.architecture.value}"
        assert tags[-1] == f"linux_{profile.architecture.value}"
        assert f"manylinux2014_{profile.architecture.value}" in tags


def test_the_64_bit_pis_have_the_same_systems() -> None:
    models = [load_target(f"raspberry-pi-{model}") for model in ("5", "4", "3", "zero-2-w")]
    assert len({model.systems for model in models}) == 1
    bookworm, trixie = models[0].systems
    assert (bookworm.python, trixie.python) == ("3.11", "3.13")
    # picamera2 of bookworm is built for numpy 1, and OpenCV 5 needs numpy 2.
    assert any(package.startswith("numpy==1.") for package in bookworm.packages)
    assert any(package.startswith("opencv-python-headless==4.") for package in bookworm.packages)
    assert bookworm.system_site_packages


def test_a_32_bit_pi_takes_numpy_from_debian() -> None:
    profile = load_target("raspberry-pi-32bit")
    system = profile.system()
    assert profile.architecture is Architecture.ARMV7L
    assert [one.package for one in system.backends] == ["tflite-runtime==2.14.0"]
    assert system.packages == ()
    assert [(one.package, one.apt) for one in system.provided] == [("numpy", "python3-numpy")]


def test_a_jetson_names_the_wheel_that_no_index_has_first() -> None:
    profile = load_target("jetson-orin")
    assert profile.quantization is Quantization.INT8_SYMMETRIC
    assert [system.python for system in profile.systems] == ["3.10", "3.12"]
    for system in profile.systems:
        assert system.backends[0].distribution == "onnxruntime-gpu"
        assert "Jetson" in system.backends[0].source


def test_a_phone_takes_all_but_the_runtime_from_termux_in_whatever_version() -> None:
    profile = load_target("android-termux")
    system = profile.system()
    assert profile.service_manager is ServiceManager.TERMUX
    assert (system.packages, system.glibc) == ((), "")
    assert system.platform_tags(profile.architecture) == ("any",)
    assert [one.apt for one in system.provided] == [
        "python-numpy",
        "opencv-python",
        "python-onnxruntime",
    ]
    assert all(one.moves for one in system.provided)
    assert system.package_manager.install == "pkg install"
    (backend,) = system.backends
    assert (backend.provided, backend.opset, backend.ir) == (True, 23, 11)


def test_an_add_on_is_no_target() -> None:
    add_on = load_profile("coral-usb")
    assert isinstance(add_on, AddOn)
    assert set(add_on.joins) <= set(target_names())
    with pytest.raises(UsageError, match="coral-usb is an add-on.*raspberry-pi-5"):
        load_target("coral-usb")


def test_an_app_takes_no_wheels() -> None:
    for name, form in (("android-web", AppForm.FOLDER), ("android-apk", AppForm.APK)):
        app = load_profile(name)
        assert isinstance(app, AppTarget)
        assert app.form is form
        assert "Never run on a phone" in app.note
        with pytest.raises(UsageError, match=f"{name} is an app.*mejiro bundle ARTIFACT --target"):
            load_target(name)


def test_unknown_names_list_those_there_are(tmp_path) -> None:
    with pytest.raises(
        UsageError, match="there is no target 'toaster'; use one of android-termux, "
    ):
        load_target("toaster")
    with pytest.raises(UsageError, match="raspberry-pi-5 has no system 'buster'; it has bookworm"):
        load_target("raspberry-pi-5").system("buster")
    with pytest.raises(SpecError, match=r"absent\.toml cannot be read"):
        load_target(str(tmp_path / "absent.toml"))


def test_a_profile_of_ones_own_is_read_from_its_file(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PROFILE, encoding="utf-8")
    profile = load_target(str(path))
    assert (profile.name, profile.threads, profile.backends) == ("board", 2, ("litert",))
    path.write_bytes(b"#" * (1 << 19))
    with pytest.raises(SpecError, match="larger than"):
        load_target(str(path))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("schema = 1", "schema = 2", "'schema' must be 1, found 2"),
        (
            "schema = 1",
            'schema = 1\nkind = "pet"',
            "'kind' must be one of board, add-on, app",
        ),
        ("threads = 2", 'threads = "two"', "'threads' must be int, found str"),
        ("threads = 2", "threads = 65", "'threads' must lie in 1 to 64"),
        ("threads = 2", "treads = 2", "unknown fields: 'treads'"),
        ("aarch64", "aarch65", "'architecture' must be one of aarch64, armv7l, x86_64"),
        ('"camera:0"', '"eye:0"', "'cameras' holds 'eye:0'"),
        ('"camera:0"', "7", "'cameras' must be a list of texts, found 7"),
        ('"python3-venv"', '"a b"', "'apt' must look like"),
        ('name = "board"', 'name = "A B"', "'name' must look like"),
        ('name = "board"\n', "", "has no 'name'"),
        ('"2.36"', '"3.36"', "system 1: 'glibc' must look like"),
        ('"3.11"', '"3.9"', "system 1: 'python' must look like"),
        ("numpy==1.0", "numpy", "system 1: 'packages' must be pinned"),
        ("numpy==1.0", "numpy==1.*", "system 1: 'packages' must be pinned"),
        ("numpy==1.0", "numpy @ http://x/y", "system 1: 'packages' takes names and versions"),
        ("numpy==1.0", "=", "system 1: 'packages' holds '=', which is no requirement"),
        ('name = "litert"', 'name = "tvm"', "system 1, backend 1: 'name' must be one of litert"),
        ("ai-edge-litert==2.3.0", "x>=2", "system 1, backend 1: 'package' must be pinned"),
        ("litert==2.3.0", 'x"\nprovided = true\n#', "edge-x is provided, but no 'provided' table"),
        ("litert==2.3.0", 'litert==2.3.0"\nopset = 2000\n#', "'opset' must lie in 0 to 1000"),
        ("[[system.backend]]", "[[system.extra]]", "at least one 'backend'"),
        ("[[system.backend]]", "[[", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_its_place(old: str, new: str, told: str) -> None:
    assert PROFILE.count(old) >= 1
    with pytest.raises(SpecError, match=re.escape(told)) as caught:
        read_profile(PROFILE.replace(old, new), "board.toml")
    assert str(caught.value).startswith("board.toml")
    assert "\n" not in str(caught.value)


def test_tables_that_are_none_and_double_names_are_refused() -> None:
    head = PROFILE.partition("[[system]]")[0]
    with pytest.raises(SpecError, match=r"board\.toml, system 1 must be a table, found str"):
        read_profile(f'{head}system = ["x"]\n', "board.toml")
    with pytest.raises(SpecError, match="at least one 'system'"):
        read_profile(head, "board.toml")
    twice = PROFILE + PROFILE[PROFILE.index("[[system]]") :]
    with pytest.raises(SpecError, match="'system' names 'one' twice"):
        read_profile(twice, "board.toml")
    provided = '\n[[system.provided]]\npackage="numpy"\nversion="1.2"\nmodule="numpy"\napt="np"\n'
    with pytest.raises(SpecError, match="system_site_packages"):
        read_profile(PROFILE + provided, "board.toml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(data=st.data())
def test_any_value_anywhere_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    """Put a value of any kind in the place of any field of a real profile."""
    value: dict[str, Any] = tomllib.loads(text_of(data.draw(st.sampled_from(profile_names()))))
    place: Any = value
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else [0]))
        inner = place[key]
        deeper = isinstance(inner, dict | list) and inner and data.draw(st.booleans())
        if not deeper:
            break
        place = inner
    place[key] = data.draw(VALUES)
    told = ""
    try:
        assert isinstance(
            read_profile(_toml(value), "some.toml"), TargetProfile | AddOn | AppTarget
        )
    except MejiroError as error:
        told = str(error)
    assert not told or ("some.toml" in told and "\n" not in told)


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"some\.toml"):
        read_profile(text, "some.toml")


def _toml(value: Any) -> str:
    """Write a table of JSON-like values; TOML's inline forms are close to JSON."""
    return "".join(f"{_key(key)} = {_inline(inner)}\n" for key, inner in value.items())


def _key(key: str) -> str:
    return json.dumps(key).replace("\x7f", "\\u007f")


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if value is None:
        return '"none"'
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value).replace("\x7f", "\\u007f")
