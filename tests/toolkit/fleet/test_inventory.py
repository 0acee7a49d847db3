"""An inventory is right, or refused in one line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import MejiroError, UsageError
from mejiro.fleet import Host, parse_inventory, read_inventory
from mejiro.fleet.inventory import Variables

GOOD = """
[defaults]
source = "camera:0"
timeout_s = 600

[groups.indoor]
source = "picamera:0"
require = ["infer.p95<60ms", "fps>=10"]

[groups.new]
require = "drops<1%"
root = "/srv/mejiro"
service = true

[hosts.kitchen]
url = "ssh://pi@kitchen.local"
groups = ["indoor", "new"]

[hosts.cellar]
url = "ssh://pi@10.0.0.7:2222"
groups = ["new"]
source = "csi:0"
service = false

[hosts.attic]
url = "ssh://pi@attic.local"
"""


def test_a_device_comes_before_its_groups_and_they_before_defaults():
    kitchen, cellar, attic = parse_inventory(GOOD).hosts
    assert kitchen.variables == Variables(
        "picamera:0", ("infer.p95<60ms", "fps>=10"), "/srv/mejiro", True, 600
    )
    assert cellar.variables == Variables("csi:0", ("drops<1%",), "/srv/mejiro", False, 600)
    assert attic == Host(
        "attic", "ssh://pi@attic.local", (), Variables(source="camera:0", timeout_s=600)
    )
    assert attic.timeout_s == 600
    assert Host("a", "ssh://a").timeout_s == 1800
    assert attic.variables.to_json() == {"source": "camera:0", "timeout_s": 600}


def test_a_group_is_selected_in_the_order_of_the_file():
    inventory = parse_inventory(GOOD)
    assert [host.name for host in inventory.select()] == ["kitchen", "cellar", "attic"]
    assert [host.name for host in inventory.select("new")] == ["kitchen", "cellar"]
    with pytest.raises(UsageError, match=r"no group 'old'; there are: indoor, new"):
        inventory.select("old")
    lonely = parse_inventory('[groups.g]\n[hosts.a]\nurl = "ssh://a"')
    with pytest.raises(UsageError, match="no device of the inventory is in group 'g'"):
        lonely.select("g")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must list 1 to 1000 devices, as [hosts.NAME], found 0"),
        ("[hosts", "is not valid TOML"),
        ("hosts = 3", "'hosts' must be dict, found int"),
        ("[host.a]\nurl = 'ssh://a'", "has unknown fields: 'host'"),
        ("[hosts.a]", "[hosts.a] has no 'url'"),
        ("[hosts]\na = 1", "[hosts.a] must be a table, found int"),
        ("[hosts.a]\nurl = 'kitchen.local'", "must be like ssh://pi@kitchen.local"),
        ("[hosts.a]\nurl = 'ssh://-oProxyCommand=x'", "must be like ssh://pi@kitchen.local"),
        ("[hosts.a]\nurl = 'ssh://pi:secret@a'", "holds a password"),
        ("[hosts.a]\nurl = 'ssh://a'\nport = 3", "unknown fields: 'port'"),
        ("[hosts.a]\nurl = 'ssh://a'\ngroups = ['g']", "there is no [groups.g]; there are: none"),
        ("[groups.g]\n[hosts.a]\nurl='ssh://a'\ngroups=['g','g']", "a group is named twice"),
        ("[hosts.a]\nurl = 'ssh://a'\nservice = 'yes'", "'service' must be bool, found str"),
        ("[hosts.a]\nurl = 'ssh://a'\ntimeout_s = 0", "must be 1 to 86400 seconds, found 0"),
        ("[hosts.a]\nurl = 'ssh://a'\nrequire = [3]", "'require' must be printable text"),
        ("[hosts.a]\nurl = 'ssh://a'\nsource = '-x'", "must not begin with a dash"),
        ("[hosts.a]\nurl = 'ssh://a'\n[hosts.b]\nurl = 'ssh://a'", "'a' and 'b' are one device"),
        ("[hosts.'a b']\nurl = 'ssh://a'", "a device is called by letters, digits"),
        ("[groups.'']\n[hosts.a]\nurl = 'ssh://a'", "a group is called by letters, digits"),
        ("[defaults]\nurl = 'ssh://a'", "[defaults] has unknown fields: 'url'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, said):
    with pytest.raises(UsageError, match=re.escape(said)) as told:
        parse_inventory(text, "fleet.toml")
    assert str(told.value).startswith("fleet.toml")
    assert "\n" not in str(told.value)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_inventory(tmp_path / "absent.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no text in UTF-8"):
        read_inventory(tmp_path / "bytes.toml")
    (tmp_path / "good.toml").write_text(GOOD)
    assert len(read_inventory(tmp_path / "good.toml").hosts) == 3


VALUES = st.one_of(
    st.text(max_size=12).map(lambda text: "'" + re.sub(r"[\x00-\x1f'\x7f]", "", text) + "'"),
    st.integers().map(str),
    st.booleans().map(lambda flag: str(flag).lower()),
    st.just("[]"),
    st.just("['g']"),
    st.just("{}"),
)
TABLES = st.sampled_from(["defaults", "hosts.a", "groups.g", "hosts.'-b'", "hosts", "other"])
KEYS = st.sampled_from(["url", "groups", "source", "require", "root", "service", "timeout_s", "x"])


@given(st.dictionaries(TABLES, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_any_tables_are_an_inventory_or_refused_in_one_line(tables):
    lines = []
    for table, values in tables.items():
        lines += [f"[{table}]", *(f"{key} = {value}" for key, value in values.items())]
    refused_or_whole("\n".join(lines))


@given(st.text(max_size=200))
def test_any_text_is_an_inventory_or_refused_in_one_line(text):
    refused_or_whole(text)


def refused_or_whole(text):
    refusal = ""
    try:
        inventory = parse_inventory(text)
    except MejiroError as error:
        refusal = str(error)
    else:
        assert inventory.hosts
    assert len(refusal.splitlines()) <= 1
