"""The certificate stays the same between runs, and its key is the user's alone."""

from __future__ import annotations

import datetime
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from mejiro.errors import ServeError
from mejiro.serve import certificate
from mejiro.serve.addresses import own_names
from mejiro.serve.certificate import config_folder, given_identity, own_identity

NAMES = ["localhost", "127.0.0.1"]


def names_in(path: Path) -> set[str]:
    read = x509.load_pem_x509_certificate(path.read_bytes())
    held = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(one.value) for one in held}


def test_the_fingerprint_stays_until_an_address_comes(tmp_path: Path) -> None:
    first = own_identity(NAMES, tmp_path)
    assert own_identity(NAMES, tmp_path) == first
    assert own_identity(NAMES[:1], tmp_path) == first
    key = first.key.read_bytes()
    moved = own_identity([*NAMES, "192.0.2.7"], tmp_path)
    assert moved.fingerprint != first.fingerprint
    assert moved.key.read_bytes() == key
    assert names_in(moved.certificate) == {*NAMES, "192.0.2.7"}
    moved.context()


def test_it_is_made_anew_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "VALID", datetime.timedelta(days=20))
    short = own_identity(NAMES, tmp_path)
    monkeypatch.undo()
    assert own_identity(NAMES, tmp_path).fingerprint != short.fingerprint


def test_only_the_user_can_read_what_is_kept(tmp_path: Path) -> None:
    found = own_identity(NAMES, tmp_path / "kept")
    assert found.key.stat().st_mode & 0o777 == 0o600
    assert found.key.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in found.key.parent.iterdir() if path.name.startswith(".")] == []
    found.key.chmod(0o644)
    with pytest.raises(ServeError, match="open to other users"):
        own_identity(NAMES, tmp_path / "kept")


def test_a_spoilt_key_or_certificate_is_told_or_replaced(tmp_path: Path) -> None:
    found = own_identity(NAMES, tmp_path)
    found.certificate.write_text("no certificate")
    assert own_identity(NAMES, tmp_path).fingerprint
    found.key.write_text("no key")
    with pytest.raises(ServeError, match="no private key"):
        own_identity(NAMES, tmp_path)
    with pytest.raises(ServeError, match="no certificate in PEM form"):
        given_identity(found.key, found.key)
    (tmp_path / "file").write_text("")
    with pytest.raises(ServeError, match="cannot keep"):
        own_identity(NAMES, tmp_path / "file" / "below")


def test_a_key_that_does_not_fit_is_told(tmp_path: Path) -> None:
    one, other = own_identity(NAMES, tmp_path / "a"), own_identity(NAMES, tmp_path / "b")
    with pytest.raises(ServeError, match="cannot be used"):
        given_identity(one.certificate, other.key).context()
    assert isinstance(given_identity(one.certificate, one.key).context(), ssl.SSLContext)


def test_the_machine_is_known_by_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Desk")
    names = own_names()
    assert {"localhost", "desk", "desk.local", "127.0.0.1"} <= set(names)
    assert "::1" not in names
    assert "::1" in own_names(ipv6=True)
    monkeypatch.setattr(socket, "gethostname", lambda: "not a name")
    assert "not a name" not in own_names()


def test_keys_are_kept_where_the_user_keeps_such_things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/of/user")
    assert config_folder() == Path("/etc/of/user/mejiro")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert config_folder() == Path.home() / ".config" / "mejiro"
