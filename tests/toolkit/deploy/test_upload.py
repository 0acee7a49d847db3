from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from mejiro.deploy import Connection, DeployOptions, deploy
from mejiro.errors import DeployError
from mejiro_agent.errors import AgentError
from mejiro_agent.root import Root
from mejiro_agent.upload import Upload, check_path, read_entries

WriteBundle = Callable[..., Path]
QUICK = DeployOptions(tune=False)
BLOB = bytes(range(256)) * 4000


def test_a_second_deploy_sends_what_changed_and_little_more(
    url: str, write_bundle: WriteBundle, device: Root
) -> None:
    wheel = {"wheels/big": BLOB[::-1] * 3}
    deploy(url, write_bundle("one", model=BLOB, more=wheel), QUICK)
    changed = BLOB[1:] + b"!"
    done = deploy(url, write_bundle("two", model=changed, more=wheel), QUICK)
    assert (done.uploaded_files, done.uploaded_bytes) == (1, len(changed))
    # The agent itself is no file of the bundle.
    with Connection(url) as connection:
        agent_bytes = connection.sent_bytes
    assert done.sent_bytes - agent_bytes <= 1.1 * len(changed)
    both = sorted(device.releases.glob("*/bundle/wheels/big"))
    assert len(both) == 2
    assert both[0].stat().st_ino == both[1].stat().st_ino


def test_an_upload_goes_on_inside_a_file(
    url: str, write_bundle: WriteBundle, device: Root, release_of: Callable[[Path], str]
) -> None:
    bundle = write_bundle(model=BLOB)
    part = device.releases / f"{release_of(bundle)}.part" / "bundle" / "models" / "m.onnx"
    part.parent.mkdir(parents=True)
    part.write_bytes(BLOB[:600_000])
    done = deploy(url, bundle, QUICK)
    assert done.plan.upload_bytes == done.uploaded_bytes
    assert done.uploaded_bytes < len(BLOB) - 600_000 + 10_000
    assert (device.current / "bundle" / "models" / "m.onnx").read_bytes() == BLOB


@pytest.mark.parametrize("found", [b"something else", BLOB + b"too long", b"x" * len(BLOB)])
def test_what_is_there_and_wrong_is_sent_again(
    url: str,
    write_bundle: WriteBundle,
    device: Root,
    release_of: Callable[[Path], str],
    found: bytes,
) -> None:
    bundle = write_bundle(model=BLOB)
    part = device.releases / f"{release_of(bundle)}.part" / "bundle" / "models" / "m.onnx"
    part.parent.mkdir(parents=True)
    part.write_bytes(found)
    deploy(url, bundle, QUICK)
    assert (device.current / "bundle" / "models" / "m.onnx").read_bytes() == BLOB


def test_a_damaged_release_is_mended_and_its_strangers_go(
    url: str, write_bundle: WriteBundle, device: Root
) -> None:
    bundle = write_bundle(model=BLOB)
    deploy(url, bundle, QUICK)
    here = device.current / "bundle"
    (here / "models" / "m.onnx").write_bytes(b"damaged")
    (here / "stranger.py").write_bytes(b"")
    (here / "link").symlink_to("/etc/passwd")
    done = deploy(url, bundle, QUICK)
    assert done.uploaded_files == 1
    assert (here / "models" / "m.onnx").read_bytes() == BLOB
    assert not (here / "stranger.py").exists()
    assert not (here / "link").is_symlink()


def test_a_file_is_not_taken_from_a_release_where_it_is_damaged(
    url: str, write_bundle: WriteBundle, device: Root
) -> None:
    deploy(url, write_bundle("one", model=b"m1", more={"wheels/big": BLOB}), QUICK)
    (device.current / "bundle" / "wheels" / "big").write_bytes(b"x" * len(BLOB))
    done = deploy(url, write_bundle("two", model=b"m2", more={"wheels/big": BLOB}), QUICK)
    assert done.uploaded_files == 2
    assert (device.current / "bundle" / "wheels" / "big").read_bytes() == BLOB


def test_the_same_bytes_under_two_names_are_sent_once(
    url: str, write_bundle: WriteBundle, device: Root
) -> None:
    more = {"wheels/one": BLOB, "wheels/two": BLOB}
    done = deploy(url, write_bundle(more=more), QUICK)
    assert done.uploaded_bytes < 1.1 * len(BLOB)
    assert (device.current / "bundle" / "wheels" / "two").read_bytes() == BLOB


def test_a_file_that_changes_while_it_is_sent_is_refused(
    url: str, write_bundle: WriteBundle
) -> None:
    bundle = write_bundle(model=b"what the manifest says")

    def spoil(plan: object) -> None:
        (bundle / "models" / "m.onnx").write_bytes(b"what the manifest knew")

    with pytest.raises(DeployError, match=r"models/m\.onnx arrived damaged"):
        deploy(url, bundle, QUICK, on_plan=spoil)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a//b", "a\nb", "", ".", "a\\b"])
def test_paths_that_leave_the_bundle_are_refused(path: str, root: Root) -> None:
    with pytest.raises(AgentError, match="leaves its folder"):
        check_path(path)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b'{"files": 1}',
        b'{"files": {"a": {}}}',
        b'{"files": {"a": {"size_bytes": "x"}}}',
    ],
)
def test_what_is_no_manifest_is_refused(manifest: bytes) -> None:
    with pytest.raises(AgentError, match="not a manifest"):
        read_entries(manifest)


def test_more_bytes_than_promised_are_refused(root: Root) -> None:
    digest = hashlib.sha256(b"abc").hexdigest()
    manifest = f'{{"files": {{"a": {{"size_bytes": 3, "sha256": "{digest}"}}}}}}'.encode()
    upload = Upload(root, manifest, b"", None)
    upload.begin()
    upload.open_at("a", 0)
    with pytest.raises(AgentError, match="longer than its manifest says"):
        upload.write(b"abcd")
    with pytest.raises(AgentError, match="not in the manifest"):
        upload.open_at("b", 0)
    with pytest.raises(AgentError, match="arrived damaged"):
        upload.finish()
