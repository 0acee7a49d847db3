"""A site is read once, whole and as it says, or refused in one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import ServeError, SiteError
from mejiro.serve import contents
from mejiro.serve.contents import pack, read_contents
from mejiro.site import Site, open_site
from tests.site_stand_in import site_files, write_site


def test_a_site_is_read_with_its_types(tmp_path: Path) -> None:
    read = read_contents(write_site(tmp_path))
    assert read.name == "birds"
    assert set(read.entries) == {*site_files(), "site.json"}
    types = {path: entry.content_type for path, entry in read.entries.items()}
    assert types["engine/litert/litert.wasm"] == "application/wasm"
    assert types["js/main.js"].startswith("text/javascript")
    assert types["app.webmanifest"] == "application/manifest+json"
    assert types["model/birds-int8.tflite"] == "application/octet-stream"
    assert types["LICENSES/litert"].startswith("text/plain")
    index = read.find("/")
    assert index is not None
    assert index.path == "index.html"
    assert read.find("//index.html") is None
    assert read.find("/../site.json") is None


def test_what_is_not_as_listed_is_refused(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    with pytest.raises(SiteError, match=r"has no site\.json"):
        read_contents(tmp_path)
    (site / "js/main.js").write_text("changed")
    with pytest.raises(SiteError, match="altered"):
        read_contents(site)
    (site / "js/main.js").unlink()
    with pytest.raises(SiteError, match="lacks"):
        read_contents(site)


def test_no_link_leads_out_of_a_site(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    secret = tmp_path / "secret.js"
    secret.write_bytes((site / "js/main.js").read_bytes())
    (site / "js/main.js").unlink()
    (site / "js/main.js").symlink_to(secret)
    with pytest.raises(SiteError, match="a link or a device"):
        read_contents(site)


def test_a_site_without_a_page_or_without_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path: body for path, body in site_files().items() if path != "index.html"}
    with pytest.raises(ServeError, match="has no index.html"):
        read_contents(write_site(tmp_path / "site", files))
    monkeypatch.setattr(contents, "MAX_BYTES", 100)
    with pytest.raises(ServeError, match="at most 100 are served"):
        read_contents(write_site(tmp_path / "other"))


def test_what_changes_while_it_is_read_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write_site(tmp_path)

    def open_then_change(folder: Path) -> Site:
        opened = open_site(folder)
        (folder / "sw.js").write_text("other")
        return opened

    monkeypatch.setattr(contents, "open_site", open_then_change)
    with pytest.raises(ServeError, match=r"sw\.js of the site .* changes just now"):
        read_contents(site)


@given(st.binary(max_size=300))
def test_packed_bytes_are_the_same_bytes(body: bytes) -> None:
    packed = pack(body * 20)
    assert packed is None or gzip.decompress(packed) == body * 20
    assert pack(body * 20) == packed
