"""Files of no bundle race on a device, and leave nothing there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mejiro.deploy import Connection, deploy, race_on, remote_race
from mejiro.errors import DeployError, UsageError
from mejiro_agent.root import Root
from mejiro_runtime.card import card_path
from mejiro_runtime.race import Conditions

# What `mejiro-run race` would do, before what the stand-in does.
RACE = """#!/usr/bin/env python3
import json, os, sys
if sys.argv[1] == "race":
    end = sys.argv.index("--json")
    found = {os.path.basename(path): open(path).read() + open(path + ".json").read()
             for path in sys.argv[2:end]}
    if "slow" in "".join(found.values()):
        sys.exit("mejiro-run: error: it cannot be timed")
    print(json.dumps({"found": found, "words": sys.argv[end + 1:]}))
    sys.exit(0)
"""


@pytest.fixture
def url(device: Root, write_bundle: Callable[..., Path]) -> str:
    """Return the URL of a device with a release that can race."""
    plain = write_bundle("plain")
    program = RACE + (plain / "wheels" / "program").read_text(encoding="utf-8")
    bundle = write_bundle("racing", more={"wheels/program": program.encode()})
    deploy(f"local:{device.folder}", bundle)
    return f"local:{device.folder}"


def model(folder: Path, name: str, text: str) -> Path:
    """Write what stands for a model file, with a card beside it."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    card_path(path).write_text(f"card of {name}", encoding="utf-8")
    return path


def test_files_are_sent_with_their_cards_and_removed(
    url: str, device: Root, tmp_path: Path
) -> None:
    files = [model(tmp_path, "a.tflite", "one "), model(tmp_path, "b.tflite", "two ")]
    conditions = Conditions(3, 5)
    found = remote_race(url)(files, conditions)
    assert found["found"] == {
        "a.tflite": "one card of a.tflite",
        "b.tflite": "two card of b.tflite",
    }
    assert found["words"] == conditions.words()
    assert not list(device.cache.glob("race-*"))


def test_what_the_device_says_is_told_and_nothing_stays(
    url: str, device: Root, tmp_path: Path
) -> None:
    with Connection(url) as connection:
        with pytest.raises(DeployError, match="it cannot be timed"):
            race_on(connection, [model(tmp_path, "a.tflite", "slow")], Conditions(1, 1))
        assert not list(device.cache.glob("race-*"))
        with pytest.raises(DeployError, match="cannot be taken in"):
            race_on(connection, [model(tmp_path, "-a.tflite", "one")], Conditions(1, 1))
        with pytest.raises(DeployError, match="cannot be read"):
            race_on(connection, [tmp_path / "absent.tflite"], Conditions(1, 1))
        again = race_on(connection, [model(tmp_path, "a.tflite", "one")], Conditions(1, 1))
    assert list(again["found"]) == ["a.tflite"]


def test_a_connection_that_ends_leaves_nothing(url: str, device: Root, tmp_path: Path) -> None:
    with Connection(url) as connection:
        connection.call("lock")
        connection.call("take")
        connection.send({"file": "a.tflite", "offset": 0})
        assert len(list(device.cache.glob("race-*"))) == 1
    assert not list(device.cache.glob("race-*"))


def test_a_device_without_a_release_says_so(device: Root, tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="nothing is deployed"):
        remote_race(f"local:{device.folder}")([model(tmp_path, "a.tflite", "one")], Conditions())
    with pytest.raises(UsageError, match="names no device"):
        remote_race("kitchen")
