"""A site is read once, whole and as it says, or refused in one line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import ServeError
from mejiro.serve.contents import is_inside, pack, read_contents
from tests.site_stand_in import site_files, write_site


def test_a_site_is_read_with_its_types(tmp_path: Path) -> None:
    contents = read_contents(write_site(tmp_path))
    assert contents.name == "birds"
    assert set(contents.entries) == {*site_files(), "site.json"}
    types = {path: entry.content_type for path, entry in contents.entries.items()}
    assert types["engine/litert/litert.wasm"] == "application/wasm"
    assert types["js/main.js"].startswith("text/javascript")
    assert types["app.webmanifest"] == "application/manifest+json"
    assert types["model/birds-int8.tflite"] == "application/octet-stream"
    assert types["LICENSES/litert"].startswith("text/plain")
    index = contents.find("/")
    assert index is not None
    assert index.path == "index.html"
    assert contents.find("//index.html") is None
    assert contents.find("/../site.json") is None


def test_what_is_not_as_listed_is_refused(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    with pytest.raises(ServeError, match=r"holds no site\.json"):
        read_contents(tmp_path)
    (site / "js/main.js").write_text("changed")
    with pytest.raises(ServeError, match=r"js/main\.js is not the file"):
        read_contents(site)
    (site / "js/main.js").unlink()
    with pytest.raises(ServeError, match="listed and not there"):
        read_contents(site)


def test_no_link_leads_out_of_a_site(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    secret = tmp_path / "secret.js"
    secret.write_bytes((site / "js/main.js").read_bytes())
    (site / "js/main.js").unlink()
    (site / "js/main.js").symlink_to(secret)
    with pytest.raises(ServeError, match="outside of it"):
        read_contents(site)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../b", "a//b", ".", "a\\b", "a\nb", ""])
def test_a_path_that_is_not_plain_is_refused(tmp_path: Path, path: str) -> None:
    assert not is_inside(path)
    site = write_site(tmp_path)
    value = json.loads((site / "site.json").read_text())
    value["files"][path] = value["files"]["index.html"]
    (site / "site.json").write_text(json.dumps(value))
    with pytest.raises(ServeError, match="outside of it") as told:
        read_contents(site)
    assert "\n" not in str(told.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(field=st.sampled_from(["files", "name", "version", "index.html"]), value=JSON)
def test_any_site_json_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
) -> None:
    site = write_site(tmp_path_factory.mktemp("site"), {"index.html": b"x"})
    listed = json.loads((site / "site.json").read_text())
    if field == "index.html":
        listed["files"][field] = value
    else:
        listed[field] = value
    (site / "site.json").write_text(json.dumps(listed))
    try:
        found: object = read_contents(site).find("/")
    except ServeError as error:
        found = str(error)
    assert found is not None
    assert "\n" not in str(found)


@given(st.binary(max_size=300))
def test_packed_bytes_are_the_same_bytes(body: bytes) -> None:
    packed = pack(body * 20)
    assert packed is None or gzip.decompress(packed) == body * 20
    assert pack(body * 20) == packed
