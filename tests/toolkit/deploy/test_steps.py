from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mejiro.deploy import (
    BenchOptions,
    Connection,
    DeployOptions,
    Progress,
    ServiceOptions,
    Status,
    bench,
    deploy,
    measure,
    plan_deploy,
    read_log,
    rollback,
    status,
    uninstall,
)
from mejiro.errors import DeployError, RolledBack
from mejiro_agent import root as root_module
from mejiro_agent.root import Root, take_lock
from mejiro_runtime.errors import BundleError

WriteBundle = Callable[..., Path]
ReleaseOf = Callable[[Path], str]
QUICK = DeployOptions(tune=False)
SERVICE = DeployOptions(
    service=ServiceOptions(source="synthetic:64x48"), tune=False, gate_timeout_s=30
)


def _status(url: str) -> Status:
    with Connection(url) as connection:
        return status(connection)


def test_a_dry_run_changes_nothing(url: str, write_bundle: WriteBundle, device: Root) -> None:
    plan = plan_deploy(url, write_bundle(), SERVICE)
    assert plan.upload_files == 9
    assert not device.folder.exists()


def test_a_service_runs_is_replaced_and_goes_back(
    url: str, write_bundle: WriteBundle, release_of: ReleaseOf, device: Root
) -> None:
    one, two = write_bundle("one"), write_bundle("two", model=b"another")
    steps: list[str] = []

    def tell(progress: Progress) -> None:
        if progress.step.value not in steps[-1:]:
            steps.append(progress.step.value)

    first = deploy(url, one, SERVICE, on_step=tell)
    assert steps == [
        "probe", "lock", "upload", "install", "verify", "health", "switch", "gate", "confirm",
    ]  # fmt: skip
    assert first.previous is None
    before = _status(url)
    assert (before.release, before.bundle, before.running) == (release_of(one), "one", True)
    # Without words about a service it goes on as it was started.
    second = deploy(url, two, QUICK)
    assert second.previous == first.release
    after = _status(url)
    assert (after.release, after.running) == (release_of(two), True)
    assert after.run is not None
    assert after.run["arguments"] == ["--source", "synthetic:64x48"]
    assert str(device.current.readlink()) == f"releases/{release_of(two)}"
    with Connection(url) as connection:
        assert rollback(connection) == release_of(one)
        assert status(connection).release == release_of(one)
        lines: list[str] = []
        read_log(connection, lines.append, lines=3)
        assert any(release_of(one) in line for line in lines)
        assert uninstall(connection)["left"] is False
    assert not device.folder.exists()


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ({"verify": "bad"}, "golden frames: m: infer: 3 values differ"),
        ({"verify": "illegal"}, "golden frames: it ran an instruction"),
        ({"health": "busy"}, "synthetic frames: camera 0 is used"),
        ({"note": "no-install"}, "the environment cannot be made: no wheel fits this device"),
    ],
)
def test_what_fails_before_the_switch_leaves_all_as_it_was(
    url: str,
    write_bundle: WriteBundle,
    release_of: ReleaseOf,
    device: Root,
    behaviour: dict[str, str],
    told: str,
) -> None:
    old = write_bundle("old")
    deploy(url, old, QUICK)
    more = {"wheels/other": b"so that the environment is another"}
    with pytest.raises(DeployError, match=told) as error:
        deploy(url, write_bundle("bad", behaviour=behaviour, more=more), QUICK)
    assert not isinstance(error.value, RolledBack)
    assert device.current.readlink().name == release_of(old)


@pytest.mark.parametrize(
    ("behaviour", "require", "told"),
    [
        ({"run": "busy"}, (), "camera 0 is used by another program"),
        ({"run": "slow"}, ("age.p95<200ms",), r"age\.p95<200ms is FAIL: 900ms measured"),
    ],
)
def test_a_service_that_is_not_well_is_rolled_back(
    url: str,
    write_bundle: WriteBundle,
    release_of: ReleaseOf,
    behaviour: dict[str, str],
    require: tuple[str, ...],
    told: str,
) -> None:
    old = write_bundle("old")
    deploy(url, old, SERVICE)
    options = DeployOptions(require=require, tune=False, gate_timeout_s=30)
    with pytest.raises(RolledBack, match=f"{told}.*rolled back to {release_of(old)}, which runs"):
        deploy(url, write_bundle("bad", behaviour=behaviour), options)
    after = _status(url)
    assert (after.release, after.on_trial, after.running) == (release_of(old), False, True)


def test_silence_and_a_first_deploy_that_fails_leave_nothing_running(
    url: str, write_bundle: WriteBundle, device: Root
) -> None:
    options = DeployOptions(service=SERVICE.service, tune=False, gate_timeout_s=0.5)
    with pytest.raises(RolledBack, match=r"no 10 frames came out.*nothing ran before"):
        deploy(url, write_bundle(behaviour={"run": "silent"}), options)
    after = _status(url)
    assert (after.release, after.run, after.running) == (None, None, False)
    assert not device.current.is_symlink()


def test_what_a_service_does_not_tell_is_measured_before_the_switch(
    url: str, write_bundle: WriteBundle
) -> None:
    require = ("age.p95<200ms", "memory<100MB")
    options = DeployOptions(service=SERVICE.service, tune=False, require=require, gate_timeout_s=30)
    done = deploy(url, write_bundle(), options)
    assert [one["requirement"] for one in done.judgements] == ["memory<100MB", "age.p95<200ms"]
    assert {one["verdict"] for one in done.judgements} == {"PASS"}
    bad = write_bundle("bad", behaviour={"bench": "bad"})
    with pytest.raises(DeployError, match=r"memory<100MB is FAIL") as error:
        deploy(url, bad, options)
    assert not isinstance(error.value, RolledBack)


def test_tuning_that_fails_is_told_and_no_more(url: str, write_bundle: WriteBundle) -> None:
    done = deploy(url, write_bundle(behaviour={"tune": "bad"}), DeployOptions())
    assert done.notes == ("it was not tuned: it cannot be timed",)


def test_a_second_deploy_at_once_is_refused(
    url: str, write_bundle: WriteBundle, device: Root
) -> None:
    root_module.make_folders(device)
    handle = take_lock(device)
    try:
        with pytest.raises(DeployError, match="another deploy works on this device"):
            deploy(url, write_bundle(), QUICK)
    finally:
        os.close(handle)


def test_a_port_that_is_taken_is_told_before_anything_changes(
    url: str, write_bundle: WriteBundle, device: Root
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        service = ServiceOptions(web=f"127.0.0.1:{port}")
        with pytest.raises(DeployError, match=f"port {port} is taken"):
            deploy(url, write_bundle(), DeployOptions(service=service))
    assert not device.folder.exists()


def test_three_releases_stay_and_environments_are_shared(
    url: str, write_bundle: WriteBundle, release_of: ReleaseOf, device: Root
) -> None:
    bundles = [write_bundle(f"b{n}", model=bytes([n])) for n in range(4)]
    for bundle in bundles:
        deploy(url, bundle, QUICK)
    kept = {path.name for path in device.releases.iterdir()}
    assert kept == {release_of(bundle) for bundle in bundles[1:]}
    assert len(list(device.environments.iterdir())) == 1


def test_a_bundle_is_checked_before_the_device_is_asked(
    url: str, write_bundle: WriteBundle
) -> None:
    bundle = write_bundle()
    (bundle / "labels.txt").write_bytes(b"\tdog\n")
    with pytest.raises(BundleError, match="altered"):
        deploy(url, bundle, QUICK)


def test_a_benchmark_comes_home(url: str, write_bundle: WriteBundle, tmp_path: Path) -> None:
    with Connection(url) as connection, pytest.raises(DeployError, match="nothing is deployed"):
        bench(connection)
    done = deploy(url, write_bundle(), QUICK)
    with Connection(url) as connection:
        found = bench(connection, BenchOptions(frames=5, require=("memory<1GB",)))
    assert found.release == done.release
    assert found.passed
    assert found.probe["machine"]
    found.write(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text(encoding="utf-8").count('"report"') == 1


def test_there_is_no_way_back_from_a_first_release(url: str, write_bundle: WriteBundle) -> None:
    deploy(url, write_bundle(), QUICK)
    with Connection(url) as connection, pytest.raises(DeployError, match="no release before"):
        rollback(connection)


def test_a_bundle_is_measured_without_being_run(
    url: str, write_bundle: WriteBundle, release_of: ReleaseOf, device: Root
) -> None:
    other = write_bundle("other", model=b"another")
    found = measure(url, other, BenchOptions(frames=5))
    assert found.release == release_of(other)
    again = measure(url, write_bundle("third", model=b"a third"))
    assert again.release != found.release
    assert not device.current.is_symlink()
    assert len(list(device.environments.iterdir())) == 1
    with pytest.raises(DeployError, match="bench: camera"):
        measure(url, write_bundle("bad", behaviour={"bench": "busy"}))
