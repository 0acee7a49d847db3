from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.deploy import DeviceUrl, parse_url
from mejiro.errors import UsageError

HOSTS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}(\.[a-z0-9][a-z0-9-]{0,5}){0,3}", fullmatch=True)
USERS = st.none() | st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True)


@given(HOSTS | st.sampled_from(["fe80::1", "::1"]), USERS, st.none() | st.integers(1, 65535))
def test_a_url_is_read_back(host: str, user: str | None, port: int | None) -> None:
    url = DeviceUrl(host=host, user=user, port=port)
    assert parse_url(str(url)) == url


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_folder_is_read_back(folder: str) -> None:
    url = DeviceUrl(folder=folder)
    assert parse_url(str(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pi@kitchen",
        "local:",
        "ssh://",
        "ssh://-oProxyCommand=touch x",
        "ssh://-F@host",
        "ssh://host:0",
        "ssh://host:99999",
        "ssh://host/folder",
        "ssh://host with space",
        "http://host",
        "ssh://user:secret@host",
    ],
)
def test_what_is_no_url_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="ssh://pi@kitchen"):
        parse_url(text)


@given(st.text())
def test_no_text_gets_an_option_through_to_ssh(text: str) -> None:
    try:
        url = parse_url(f"ssh://{text}")
    except UsageError:
        return
    assert not url.login.startswith("-")
