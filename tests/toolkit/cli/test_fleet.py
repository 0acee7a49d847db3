"""`mejiro fleet` deploys to all, names what failed and exits with 1."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from mejiro.cli import main
from mejiro.cli.fleet_table import live_table
from mejiro.errors import MejiroError
from mejiro.fleet import Host, HostResult, Status

INVENTORY = """
[groups.indoor]
source = "picamera:0"
[hosts.kitchen]
url = "ssh://pi@kitchen"
groups = ["indoor"]
[hosts.cellar]
url = "ssh://pi@cellar"
[hosts.attic]
url = "ssh://pi@attic"
"""


@pytest.fixture
def fleet(tmp_path, monkeypatch, capsys):
    """Give a bundle, an inventory, a deploy whose failures can be chosen, and a way to run."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "fleet.toml").write_text(INVENTORY)
    bad: dict[str, str] = {}
    seen = []

    def deploy_action(bundle, *, ssh_config=None):
        def act(host, on_step):
            seen.append((bundle.name, host.name, host.variables.source))
            on_step("uploading")
            if host.name in bad:
                raise MejiroError(bad[host.name])

        return act

    monkeypatch.setattr("mejiro.cli.fleet.deploy_action", deploy_action)

    def run(*words):
        code = main(["fleet", *words])
        out, err = capsys.readouterr()
        return code, out, err

    deploy = ["deploy", str(tmp_path / "bundle"), "--inventory", str(tmp_path / "fleet.toml")]
    return SimpleNamespace(bad=bad, seen=seen, run=run, deploy=deploy, folder=tmp_path)


def test_all_are_deployed_to(fleet):
    code, out, err = fleet.run(*fleet.deploy)
    assert (code, err) == (0, "")
    assert "3 of 3 devices done" in out
    assert ("bundle", "kitchen", "picamera:0") in fleet.seen


def test_failures_are_named_and_the_exit_code_is_1(fleet):
    fleet.bad |= {"cellar": "the disk is full", "attic": "no answer"}
    report = fleet.folder / "report.json"
    code, out, err = fleet.run(*fleet.deploy, "--report", str(report))
    assert code == 1
    last = err.splitlines()[-1]
    assert last == (
        "mejiro: error: 1 of 3 devices done; 2 failed: cellar (the disk is full); attic (no answer)"
    )
    assert "done" in out
    kept = json.loads(report.read_text())
    assert kept["counts"]["failed"] == 2
    assert kept["hosts"][1] == {
        "name": "cellar",
        "url": "ssh://pi@cellar",
        "status": "failed",
        "canary": False,
        "last_step": "uploading",
        "reason": "the disk is full",
        "seconds": kept["hosts"][1]["seconds"],
        "result": None,
    }


def test_a_failed_canary_leaves_the_others_alone(fleet):
    fleet.bad["kitchen"] = "verify failed"
    code, out, err = fleet.run(*fleet.deploy, "--canary", "1", "--json")
    assert code == 1
    assert json.loads(out)["stopped"] == "1 of 1 canaries failed"
    assert [name for _, name, _ in fleet.seen] == ["kitchen"]
    assert "2 not tried" in err


def test_a_group_is_enough(fleet):
    code, _, _ = fleet.run(*fleet.deploy, "--group", "indoor")
    assert code == 0
    assert [name for _, name, _ in fleet.seen] == ["kitchen"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--group", "old"], "no group 'old'"),
        (["--canary", "4"], "--canary 4 is more than the 3 devices"),
        (["--parallel", "0"], "--parallel"),
    ],
)
def test_wrong_words_are_refused_before_any_device_is_touched(fleet, words, said):
    code, _, err = fleet.run(*fleet.deploy, *words)
    assert code == 2
    assert said in err
    assert not fleet.seen


def test_an_absent_bundle_is_refused(fleet):
    words = [*fleet.deploy]
    words[1] = str(fleet.folder / "absent")
    code, _, err = fleet.run(*words)
    assert code == 2
    assert "there is no bundle" in err


def test_hosts_are_listed_as_they_will_be_used(fleet):
    where = str(fleet.folder / "fleet.toml")
    code, out, _ = fleet.run("hosts", "--inventory", where)
    assert code == 0
    assert "source=picamera:0" in out
    code, out, _ = fleet.run("hosts", "--inventory", where, "--json")
    assert json.loads(out)[0]["variables"] == {"source": "picamera:0"}


def test_the_table_is_shown_on_a_terminal_alone():
    host = Host("kitchen", "ssh://kitchen")
    failed = HostResult("kitchen", "ssh://kitchen", Status.FAILED, "uploading", "[red]odd[/red]")
    for terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=terminal, width=80)
        with live_table([host], console) as on_change:
            on_change(failed)
        assert ("[red]odd[/red]" in stream.getvalue()) is terminal
        assert ("kitchen" in stream.getvalue()) is terminal
