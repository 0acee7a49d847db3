"""Who may look: by which names, from which pages, with which token."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import UsageError
from mejiro_runtime.sinks.web.access import Access, Address, new_token, own_address, read_token
from mejiro_runtime.sinks.web.http import Refused, Request

TOKEN = "0123456789abcdefghij"
OPEN = Access(Address("127.0.0.1", 8080))
GUARDED = Access(Address("0.0.0.0", 8080), TOKEN, frozenset({"device", "device.local"}))


def ask(host: str = "localhost:8080", *, query: Any = None, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("/", query or {}, {"host": host, **named})


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.9.9.9", "127.9.9.9", 8080, True),
        ("localhost", "localhost", 8080, True),
        (":0", "127.0.0.1", 0, True),
        ("8081", "127.0.0.1", 8081, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("0.0.0.0", "0.0.0.0", 8080, False),
        ("[::1]:90", "::1", 90, True),
        ("[::]", "::", 8080, False),
        ("camera.local:8080", "camera.local", 8080, False),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int, loopback: bool) -> None:
    address = Address.parse(text)
    assert (address.host, address.port, address.loopback) == (host, port, loopback)


@pytest.mark.parametrize("text", ["a:b", "0.0.0.0:65536", "x:-1", "http://here/", "h:123456"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        Address.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = Address.parse(text)
    except UsageError:
        return
    assert 0 <= address.port <= 65535
    assert address.host


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8080", "[::1]:8080"])
def test_a_loopback_name_is_answered_to(host: str) -> None:
    OPEN.check_names(ask(host))
    GUARDED.check_names(ask(host))


@pytest.mark.parametrize(
    "host",
    ["", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "localhost:x",
     "192.168.1.7:8080", "device.local:8080"],
)  # fmt: skip
def test_a_name_that_another_can_point_here_is_not(host: str) -> None:
    with pytest.raises(Refused) as refused:
        OPEN.check_names(ask(host))
    assert refused.value.status == 421


@pytest.mark.parametrize(
    "host", ["192.168.1.7:8080", "[fe80::1]:8080", "device", "Device.local:80"]
)
def test_with_a_token_the_machines_own_names_are(host: str) -> None:
    GUARDED.check_names(ask(host))


def test_with_a_token_foreign_names_are_still_refused() -> None:
    with pytest.raises(Refused):
        GUARDED.check_names(ask("evil.example:8080"))


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:9999", "https://localhost:8080"]
)
def test_a_page_of_another_origin_may_not_look(origin: str) -> None:
    OPEN.check_names(ask(origin="http://localhost:8080"))
    with pytest.raises(Refused) as refused:
        OPEN.check_names(ask(origin=origin))
    assert refused.value.status == 403


def test_a_foreign_page_can_link_here_but_embed_nothing() -> None:
    OPEN.check_names(ask(sec_fetch_site="cross-site", sec_fetch_mode="navigate"))
    OPEN.check_names(ask(sec_fetch_site="same-origin", sec_fetch_mode="no-cors"))
    for site in ("cross-site", "same-site"):
        with pytest.raises(Refused):
            OPEN.check_names(ask(sec_fetch_site=site, sec_fetch_mode="no-cors"))


def test_without_a_token_everyone_who_reaches_it_is_admitted() -> None:
    assert OPEN.admit(ask()) == ""


def test_a_token_is_exchanged_for_a_cookie() -> None:
    assert GUARDED.admit(ask()) is None
    assert GUARDED.admit(ask(query={"token": ["wrong"]})) is None
    assert GUARDED.admit(ask(query={"token": ["é"]})) is None
    cookie = GUARDED.admit(ask(query={"token": [TOKEN]}))
    assert cookie is not None
    assert re.fullmatch(r"mejiro_8080=\w{64}; HttpOnly; SameSite=Strict; Path=/", cookie)
    assert TOKEN not in cookie
    assert GUARDED.admit(ask(cookie=cookie.partition(";")[0])) == ""
    assert GUARDED.admit(ask(cookie="mejiro_8080=" + "0" * 64)) is None
    other = Access(Address("0.0.0.0", 8080), TOKEN + "x")
    assert other.admit(ask(cookie=cookie.partition(";")[0])) is None


def test_a_program_sends_the_token_itself() -> None:
    assert GUARDED.admit(ask(authorization=f"Bearer {TOKEN}")) == ""
    assert GUARDED.admit(ask(authorization="Bearer ")) is None


def test_only_other_machines_need_a_token() -> None:
    assert Access.to(Address("127.0.0.1", 1)).token is None
    first, second = (Access.to(Address("0.0.0.0", 1)).token for _ in range(2))
    assert first != second
    assert len(first or "") >= 22
    assert Access.to(Address("192.168.1.7", 80)).url(80).startswith("http://192.168.1.7:80/?token=")
    assert OPEN.url(8080) == "http://127.0.0.1:8080/"
    assert Access(Address("::1", 80)).url(80) == "http://[::1]:80/"


def test_all_of_a_machines_addresses_are_shown_as_one() -> None:
    assert own_address("10.1.2.3") == "10.1.2.3"
    assert own_address("0.0.0.0") not in ("0.0.0.0", "")


def test_a_token_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = new_token()
    path.write_text(f"{token}\n")
    path.chmod(0o600)
    assert read_token(path) == token
    assert Access.to(Address("127.0.0.1", 1), path).token == token


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("short", 0o600, "must hold one token"),
        ("two words that are long enough", 0o600, "must hold one token"),
        ("x" * 200, 0o600, "must hold one token"),
        ("é" * 20, 0o600, "cannot be read"),
        (TOKEN, 0o644, "chmod 600"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_a_token_file_that_protects_nothing_is_refused(
    tmp_path: Path, content: str | None, mode: int, message: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content, encoding="utf-8")
        path.chmod(mode)
    with pytest.raises(UsageError, match=message):
        read_token(path)
