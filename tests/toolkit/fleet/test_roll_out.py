"""A roll-out reaches every device that it may, whatever the others do."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro.errors import MejiroError, UsageError
from mejiro.fleet import Host, HostResult, Status, roll_out
from mejiro.fleet.inventory import Variables


def hosts(count: int, **variables) -> list[Host]:
    return [Host(f"h{n}", f"ssh://h{n}", (), Variables(**variables)) for n in range(count)]


def failing(*names):
    """Return an action that fails on the devices called so, and a list of those it was run on."""
    tried = []

    def action(host, on_step):
        tried.append(host.name)
        if host.name in names:
            raise MejiroError(f"{host.name} has\nno space")
        return SimpleNamespace(to_json=lambda: {"release": host.name})

    return action, tried


def statuses(report):
    return [host.status for host in report.hosts]


def test_all_succeed():
    action, tried = failing()
    report = roll_out(hosts(5), action)
    assert report.passed
    assert sorted(tried) == ["h0", "h1", "h2", "h3", "h4"]
    assert report.hosts[1].result == {"release": "h1"}
    assert report.summary == "5 of 5 devices done"
    assert report.stopped == ""


def test_ten_devices_one_dead_and_one_full():
    report = roll_out(hosts(10), failing("h3", "h7")[0], canary=2, parallel=3)
    assert [host.name for host in report.failed] == ["h3", "h7"]
    assert statuses(report).count(Status.DONE) == 8
    assert not report.passed
    assert report.summary == (
        "8 of 10 devices done; 2 failed: h3 (h3 has no space); h7 (h7 has no space)"
    )
    plain = report.to_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["counts"] == {"done": 8, "failed": 2, "timed out": 0, "not tried": 0}


def test_a_failed_canary_stops_all_that_come_after():
    action, tried = failing("h1")
    report = roll_out(hosts(5), action, canary=2)
    assert sorted(tried) == ["h0", "h1"]
    assert statuses(report) == [Status.DONE, Status.FAILED, *[Status.SKIPPED] * 3]
    assert [host.canary for host in report.hosts] == [True, True, False, False, False]
    assert report.summary.endswith("3 not tried, since 1 of 2 canaries failed: h2, h3, h4")


def test_canaries_end_before_any_other_begins():
    order = []

    def action(host, on_step):
        order.append(host.name)

    roll_out(hosts(4), action, canary=2, parallel=1)
    assert order == ["h0", "h1", "h2", "h3"]


def test_too_many_failures_stop_the_rest():
    action, tried = failing("h0", "h2")
    report = roll_out(hosts(6), action, max_failures=1, parallel=1)
    assert tried == ["h0", "h1", "h2"]
    assert statuses(report)[3:] == [Status.SKIPPED] * 3
    assert report.stopped == "2 failed"
    action, tried = failing("h0")
    assert len(roll_out(hosts(3), action, max_failures=0, parallel=1).with_status("not tried")) == 2


def test_as_many_failures_as_are_allowed_stop_nothing():
    report = roll_out(hosts(4), failing("h0", "h1")[0], max_failures=2, parallel=1)
    assert statuses(report) == [Status.FAILED, Status.FAILED, Status.DONE, Status.DONE]
    assert report.stopped == ""


def test_a_failure_of_the_last_device_leaves_nothing_untried():
    report = roll_out(hosts(2), failing("h1")[0], max_failures=0, parallel=1)
    assert report.stopped == ""


def test_a_device_that_is_away_holds_up_nobody():
    release = threading.Event()
    first = Host("away", "ssh://away", (), Variables(timeout_s=1))

    def action(host, on_step):
        if host.name == "away":
            release.wait(60)

    report = roll_out([first, *hosts(3)], action, parallel=1)
    release.set()
    assert statuses(report) == [Status.TIMED_OUT, *[Status.DONE] * 3]
    assert report.failed[0].reason == "no end after 1 s"


def test_a_device_that_talks_without_end_is_given_up_too():
    stop = threading.Event()

    def action(host, on_step):
        while not stop.is_set():
            on_step("uploading")
            stop.wait(0.01)

    (host,) = roll_out(hosts(1, timeout_s=1), action).hosts
    stop.set()
    assert (host.status, host.step) == (Status.TIMED_OUT, "uploading")


def test_they_run_at_once():
    meeting = threading.Barrier(3)
    report = roll_out(hosts(3), lambda host, on_step: meeting.wait(60) and None, parallel=3)
    assert report.passed


def test_a_defect_of_the_action_is_one_devices_failure():
    def action(host, on_step):
        if host.name == "h0":
            raise ZeroDivisionError("odd")
        if host.name == "h1":
            raise SystemExit(3)

    report = roll_out(hosts(3), action)
    assert [host.reason for host in report.hosts] == ["ZeroDivisionError: odd", "SystemExit: 3", ""]


def test_each_change_is_told_in_this_thread():
    told: list[tuple[str, str]] = []
    here = threading.get_ident()

    def on_change(result: HostResult) -> None:
        assert threading.get_ident() == here
        told.append((result.status.value, result.text))

    def action(host, on_step):
        on_step("uploading\n3 files")
        raise MejiroError("the disk is full")

    roll_out(hosts(1), action, on_change=on_change)
    assert told == [
        ("running", ""),
        ("running", "uploading 3 files"),
        ("failed", "the disk is full"),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"canary": 3}, "canaries must number 0 to 2"),
        ({"canary": -1}, "canaries must number"),
        ({"parallel": 0}, "devices at once must number 1 to 64"),
        ({"max_failures": -1}, "0 or more"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(UsageError, match=said):
        roll_out(hosts(2), failing()[0], **options)
    with pytest.raises(UsageError, match="same name"):
        roll_out(hosts(1) * 2, failing()[0])


@settings(max_examples=40, deadline=None)
@given(
    bad=st.sets(st.integers(0, 7)),
    canary=st.integers(0, 8),
    most=st.none() | st.integers(0, 8),
    parallel=st.integers(1, 8),
)
def test_every_device_is_accounted_for(bad, canary, most, parallel):
    action, tried = failing(*(f"h{n}" for n in bad))
    report = roll_out(hosts(8), action, canary=canary, max_failures=most, parallel=parallel)
    skipped = [host.name for host in report.with_status(Status.SKIPPED)]
    assert sorted([*tried, *skipped]) == [f"h{n}" for n in range(8)]
    assert {host.name for host in report.failed} == {f"h{n}" for n in bad} & set(tried)
    assert bool(report.stopped) == bool(skipped)
    assert report.passed == (not bad)
    if not bad & set(range(canary)):
        assert set(tried) >= {f"h{n}" for n in range(canary)}
        assert most is not None or not skipped
