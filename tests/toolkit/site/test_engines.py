"""The packed engines hold exactly what their list says, and nothing else comes out of them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from mejiro.errors import SiteError
from mejiro.site import engines, vendor
from mejiro.site.engines import Archive, read_vendor, unpack_engine, vendor_folder
from mejiro_runtime.manifest import FileEntry

LISTED = read_vendor(vendor_folder())


@pytest.mark.parametrize("engine", sorted(engines.FOLDERS))
def test_an_archive_holds_exactly_what_the_list_says(engine: str, tmp_path: Path) -> None:
    archive = LISTED[engine]
    unpack_engine(archive, tmp_path, vendor=vendor_folder())
    folder = tmp_path / "engine" / engines.FOLDERS[engine]
    found = {
        path.name: FileEntry(path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
    }
    assert found == archive.members
    for name in archive.changed:
        assert (folder / name).read_text(encoding="utf-8").startswith("// Changed by Mejiro")
    assert sorted(p.name for p in (tmp_path / "LICENSES").iterdir()) == sorted(archive.licenses)


def test_the_list_is_that_of_the_script() -> None:
    assert set(LISTED) == {source.engine for source in vendor.SOURCES}
    for source in vendor.SOURCES:
        archive = LISTED[source.engine]
        files = {name for package in source.packages for name in package.files.values()}
        assert set(archive.members) == files
        told = [(one.name, one.version, one.integrity) for one in archive.packages]
        assert told == [(one.name, one.version, one.integrity) for one in source.packages]


def test_every_package_is_named_in_the_notice(project_root: Path) -> None:
    notice = (project_root / "NOTICE").read_text(encoding="utf-8")
    for archive in LISTED.values():
        for package in archive.packages:
            assert package.name in notice


def npm_package(tmp_path: Path, members: dict[str, bytes]) -> tuple[Path, vendor.NpmPackage]:
    """Return a .tgz of `members`, and the description that fits it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    path = tmp_path / "made-1.0.0.tgz"
    path.write_bytes(gzip.compress(stream.getvalue()))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    package = vendor.NpmPackage(
        "made", "1.0.0", f"sha512-{digest}", "MIT",
        {"package/a.js": "a.js"}, {"a.js": ("far", "./near.js")},
    )  # fmt: skip
    return path, package


def test_a_package_is_taken_only_with_the_hash_that_npm_states(tmp_path: Path) -> None:
    members = {"package/a.js": b'import {x} from "far";\n', "package/b.js": b"left"}
    path, package = npm_package(tmp_path, members)
    taken = vendor.read_package(path, package)
    assert taken == {
        "a.js": b"// Changed by Mejiro: this file's import of far reads ./near.js.\n"
        b'import {x} from "./near.js";\n'
    }
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(SiteError, match=r"made-1\.0\.0\.tgz is not made 1\.0\.0: its hash"):
        vendor.read_package(path, package)
    path, package = npm_package(tmp_path, {"package/b.js": b"left"})
    with pytest.raises(SiteError, match=r"lacks a\.js"):
        vendor.read_package(path, package)


def test_an_archive_depends_on_its_content_alone(tmp_path: Path) -> None:
    files = {"b": b"2" * 1000, "a": b"1"}
    vendor.write_archive(tmp_path / "one", files)
    vendor.write_archive(tmp_path / "other", dict(sorted(files.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.fixture
def small(tmp_path: Path) -> tuple[Archive, Path]:
    """Return a small archive in a folder of its own, and the folder."""
    folder = tmp_path / "vendor"
    shutil.copytree(vendor_folder() / "licenses", folder / "licenses")
    vendor.write_archive(folder / "small.tar.xz", {"a.js": b"one", "b.js": b"two"})
    archive = Archive(
        file="small.tar.xz",
        engine="litert.js",
        version="1",
        sha256=hashlib.sha256((folder / "small.tar.xz").read_bytes()).hexdigest(),
        licenses=("litertjs-core.txt",),
        packages=(),
        members={
            name: FileEntry(3, hashlib.sha256(data).hexdigest())
            for name, data in (("a.js", b"one"), ("b.js", b"two"))
        },
        changed=(),
    )
    return archive, folder


def test_what_is_not_as_listed_is_refused(small: tuple[Archive, Path], tmp_path: Path) -> None:
    archive, folder = small
    unpack_engine(archive, tmp_path / "good", vendor=folder)
    a, b = archive.members["a.js"], archive.members["b.js"]
    cases = (
        ({"a.js": a}, "holds 'b.js' other than its list"),
        ({"a.js": a, "b.js": b, "c.js": b}, r"lacks c\.js"),
        ({"a.js": a, "b.js": FileEntry(4, b.sha256)}, "holds 'b.js' other than its list"),
        ({"a.js": a, "b.js": FileEntry(3, a.sha256)}, "is not what its list says"),
        ({"a.js": a, "b.js": FileEntry(1 << 40, a.sha256)}, "would unpack to more"),
    )
    for number, (members, told) in enumerate(cases):
        with pytest.raises(SiteError, match=told):
            unpack_engine(replace(archive, members=members), tmp_path / str(number), vendor=folder)
    (folder / "small.tar.xz").write_bytes(b"other")
    with pytest.raises(SiteError, match="has been altered"):
        unpack_engine(archive, tmp_path / "altered", vendor=folder)


def test_what_unpacks_beside_the_folder_is_refused(
    small: tuple[Archive, Path], tmp_path: Path
) -> None:
    archive, folder = small
    vendor.write_archive(folder / "small.tar.xz", {"../out.js": b"one"})
    sha256 = hashlib.sha256((folder / "small.tar.xz").read_bytes()).hexdigest()
    with pytest.raises(SiteError, match="holds '../out.js' other than its list"):
        unpack_engine(replace(archive, sha256=sha256), tmp_path / "site", vendor=folder)
    assert not list(tmp_path.rglob("out.js"))
