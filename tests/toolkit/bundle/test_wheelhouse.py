"""Wheels are those of the target, resolved once, kept whole, and asked for in one line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.bundle import pip, wheelhouse
from mejiro.bundle.closure import close, marker_environment, read_wheel
from mejiro.bundle.pip import Fit, NoWheel, Unreachable, download, versions
from mejiro.bundle.survey import Supply, survey
from mejiro.bundle.wheelhouse import Wish, constraints_text, gather, requirements_text
from mejiro.errors import MissingPackage, TargetError
from mejiro.targets import load_target

ARM = load_target("raspberry-pi-5")
FIT = Fit.of(ARM, ARM.system("bookworm"))


def wish(*requirements: str, **changes) -> Wish:
    values = {"fit": FIT, "machine": "aarch64", "provided": {}} | changes
    return Wish(tuple(requirements), **values)


def names(wheels) -> list[str]:
    return [f"{wheel.name}=={wheel.version}" for wheel in wheels]


def test_a_wheelhouse_is_for_the_target_not_for_this_machine(index, write_wheel) -> None:
    write_wheel(index, "engine", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    arm = write_wheel(index, "engine", "1.0", tag="cp311-cp311-manylinux_2_28_aarch64")
    write_wheel(index, "engine", "2.0", tag="cp313-cp313-manylinux_2_28_aarch64")
    write_wheel(index, "engine", "3.0", tag="cp311-cp311-manylinux_2_40_aarch64")
    (wheel,) = gather(wish("engine"))
    assert wheel.path.name == arm.name
    assert wheel.path.read_bytes() == arm.read_bytes()


def test_markers_are_read_for_the_target(index, write_wheel) -> None:
    """pip reads them for the machine that it runs on."""
    write_wheel(
        index,
        "engine",
        "1.0",
        requires=[
            "arm-only; platform_machine == 'aarch64'",
            "not-arm; platform_machine != 'aarch64'",
            "old-only; python_version < '3.11'",
            "never; extra == 'never'",
        ],
    )
    for name in ("arm-only", "not-arm", "old-only"):
        write_wheel(index, name, "1.0", requires=["deeper"] if name == "arm-only" else [])
    write_wheel(index, "deeper", "2.0")
    found = gather(wish("engine"))
    assert names(found) == ["arm-only==1.0", "deeper==2.0", "engine==1.0"]
    older = wish("engine", fit=Fit("3.10", FIT.platforms))
    assert "old-only==1.0" in names(gather(older))


def test_pins_hold_what_nobody_asked_for(index) -> None:
    assert names(gather(wish("onnxruntime==9.1", "numpy==1.26.4"))) == [
        "numpy==1.26.4",
        "onnxruntime==9.1",
        "protobuf==7.36.2",
    ]
    assert "protobuf==8.0" in names(gather(wish("onnxruntime==9.1", "protobuf==8.0")))


def test_what_the_system_provides_is_left_out(index) -> None:
    found = gather(wish("onnxruntime==9.1", provided={"numpy": "1.24.2"}))
    assert names(found) == ["onnxruntime==9.1", "protobuf==7.36.2"]
    with pytest.raises(TargetError, match=r"numpy 1\.0 is what there is, and numpy>=1\.20 is need"):
        gather(wish("onnxruntime==9.1", provided={"numpy": "1.0"}))


def test_the_second_time_asks_nobody(index, monkeypatch) -> None:
    first = gather(wish("onnxruntime==9.1"))
    shutil.rmtree(index)
    monkeypatch.setattr(pip, "_run", lambda words, **_: pytest.fail(f"pip was asked: {words}"))
    assert gather(wish("onnxruntime==9.1"), offline=True) == first
    assert gather(wish("onnxruntime==9.1")) == first


def test_without_a_network_the_cache_serves_other_wishes_too(index) -> None:
    gather(wish("onnxruntime==9.1", "numpy==1.26.4"))
    shutil.rmtree(index)
    assert names(gather(wish("numpy==1.26.4"), offline=True)) == ["numpy==1.26.4"]
    with pytest.raises(NoWheel, match="no wheel of absent"):
        gather(wish("absent"), offline=True)


def test_a_pin_that_the_cache_lacks_is_missing_and_no_conflict(index, write_wheel) -> None:
    gather(wish("protobuf==8.0"))
    write_wheel(index, "engine", "1.0", requires=["protobuf"])
    gather(wish("engine==1.0", "protobuf==8.0"))
    with pytest.raises(NoWheel, match=r"no wheel of protobuf==7\.36\.2"):
        gather(wish("engine==1.0"), offline=True)


def test_a_damaged_wheel_is_fetched_again_or_missed(index, tmp_path) -> None:
    (wheel,) = gather(wish("numpy==1.26.4"))
    whole = wheel.path.read_bytes()
    wheel.path.write_bytes(whole[:-1] + b"?")
    assert gather(wish("numpy==1.26.4"))[0].path.read_bytes() == whole
    wheel.path.write_bytes(b"")
    shutil.rmtree(index)
    with pytest.raises(NoWheel):
        gather(wish("numpy==1.26.4"), offline=True)
    (note,) = (tmp_path / "cache" / "wheelhouses").iterdir()
    note.write_text("[]", encoding="utf-8")
    with pytest.raises(NoWheel):
        gather(wish("numpy==1.26.4"), offline=True)


def test_a_failure_leaves_no_scraps(index, tmp_path) -> None:
    with pytest.raises(NoWheel):
        gather(wish("absent"))
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == []


def test_wheels_that_were_brought_count_as_found(index, write_wheel, tmp_path) -> None:
    brought = tmp_path / "my wheels"
    write_wheel(brought, "onnxruntime-gpu", "1.23.0", tag="cp311-cp311-linux_aarch64")
    found = gather(wish("onnxruntime-gpu>=1.18", folders=(brought,)))
    assert names(found) == ["onnxruntime-gpu==1.23.0"]
    assert "--hash=sha256:" + found[0].sha256 in requirements_text(found)
    assert constraints_text(found) == "onnxruntime-gpu==1.23.0\n"


def test_a_file_that_is_no_wheel_is_named(index, tmp_path) -> None:
    path = tmp_path / "engine-1.0-py3-none-any.whl"
    for content in (b"", b"not a zip"):
        path.write_bytes(content)
        with pytest.raises(TargetError, match=r"engine-1\.0-py3-none-any\.whl is not a wheel"):
            read_wheel(path)
    other = tmp_path / "engine.whl"
    other.write_bytes(b"")
    with pytest.raises(TargetError, match=r"engine\.whl is not a wheel"):
        read_wheel(other)


def test_without_a_home_or_without_pip_that_is_said(index, monkeypatch) -> None:
    monkeypatch.setattr(wheelhouse, "cache_folder", lambda: None)
    with pytest.raises(TargetError, match="MEJIRO_CACHE"):
        gather(wish("numpy"))
    monkeypatch.setattr(pip.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="ensurepip"):
        versions("numpy", FIT)


def test_an_index_that_does_not_answer_is_no_missing_wheel(index, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(Unreachable, match="no package index can be reached"):
        download(["numpy"], tmp_path / "out", FIT)
    assert versions("numpy", FIT) is None


def test_a_survey_says_where_each_package_comes_from(index, machine, monkeypatch) -> None:
    profile = machine()
    gather(Wish(("numpy==1.26.4",), Fit.of(profile, profile.system()), "x", {}))
    supplied = {one.package: one for one in survey(profile)}
    assert supplied["numpy==1.26.4"].supply is Supply.CACHE
    assert supplied["onnxruntime==9.1"].supply is Supply.INDEX
    assert supplied["onnxruntime==9.1"].formats == ("onnx",)
    assert all(one.available for one in supplied.values())
    other = machine(packages=["numpy==5.5"])
    (numpy,) = [one for one in survey(other) if one.package == "numpy==5.5"]
    assert (numpy.supply, numpy.available) == (Supply.NOWHERE, False)
    monkeypatch.setattr("mejiro.bundle.survey.versions", lambda name, fit: None)
    jetson = {one.package: one.supply for one in survey(load_target("jetson-orin"))}
    assert jetson["onnxruntime-gpu>=1.18"] is Supply.ELSEWHERE
    assert jetson["numpy==2.5.5"] is Supply.UNREACHABLE
    thirty_two = {one.package: one.supply for one in survey(load_target("raspberry-pi-32bit"))}
    assert thirty_two["numpy==1.24.2"] is Supply.APT


GRAPHS = st.dictionaries(
    st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdefg"), max_size=4), min_size=1
)


@given(graph=GRAPHS, roots=st.sets(st.sampled_from("abcdef"), min_size=1))
def test_a_closure_is_what_can_be_reached(graph, roots, tmp_path_factory) -> None:
    from mejiro.bundle.closure import Wheel

    wheels = [
        Wheel(Path(name), name, "1.0", tuple(sorted(needs)), "", 0, 0)
        for name, needs in graph.items()
    ]
    reached, waiting = set(), list(roots)
    while waiting:
        if (name := waiting.pop()) not in reached:
            reached.add(name)
            waiting += graph.get(name, ())
    found = close(sorted(roots), wheels, marker_environment("3.11", "aarch64"), provided={})
    assert {wheel.name for wheel in found.wheels} == reached & set(graph)
    assert set(found.missing) == reached - set(graph)


def test_extras_and_bad_requirements() -> None:
    from mejiro.bundle.closure import Wheel

    environment = marker_environment("3.11", "aarch64")
    engine = Wheel(Path("e"), "engine", "1.0", ("more; extra == 'fast'",), "", 0, 0)
    more = Wheel(Path("m"), "more", "1.0", (), "", 0, 0)
    plain = close(["engine"], [engine, more], environment, provided={})
    assert [wheel.name for wheel in plain.wheels] == ["engine"]
    fast = close(["engine[fast]"], [engine, more], environment, provided={})
    assert [wheel.name for wheel in fast.wheels] == ["engine", "more"]
    with pytest.raises(TargetError, match="is no requirement"):
        close(["="], [], environment, provided={})


def test_pip_obeys_no_variable_that_changes_what_is_installed(index, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "absent.txt"))
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    download(["numpy"], tmp_path / "out", FIT)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["numpy-9.0-py3-none-any.whl"]
    run = subprocess.run

    def broken(command, **options):
        options["env"] = {"PATH": "", "PIP_CONFIG_FILE": str(tmp_path)}
        return run([command[0], "-c", "raise SystemExit('ERROR: odd\\nERROR: strange')"], **options)

    monkeypatch.setattr(pip.subprocess, "run", broken)
    with pytest.raises(TargetError, match=r"^pip cannot fetch the wheels: odd ERROR: strange$"):
        download(["numpy"], tmp_path / "out", FIT)
