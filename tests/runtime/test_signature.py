"""A signature is by somebody who is listed and of this very manifest, or the bundle is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.errors import BundleError, MissingPackage
from mejiro_runtime.manifest import SIGNATURE_NAME
from mejiro_runtime.signature import NAMESPACE, verify_signature

pytestmark = pytest.mark.requires_tool("ssh-keygen")


def make_key(folder: Path, name: str, kind: str = "ed25519") -> Path:
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def sign(folder: Path, key: Path, namespace: str = NAMESPACE) -> None:
    (folder / SIGNATURE_NAME).unlink(missing_ok=True)
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(key), "manifest.json"]
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> dict[str, Path]:
    """Return two keys by the names of those who have them."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("alice", "mallory")}


@pytest.fixture
def signers(tmp_path, keys):
    """Return what writes a file of allowed signers: lines of principals, options and a name."""

    def write(*entries: tuple[str, str]) -> Path:
        path: Path = tmp_path / "allowed signers"
        lines = [f"{who} {keys[name].with_suffix('.pub').read_text()}" for who, name in entries]
        path.write_text("# who may sign\n" + "".join(lines), encoding="utf-8")
        return path

    return write


def test_a_listed_signer_is_named(handmade, keys, signers) -> None:
    folder = handmade.write("cat finder")
    sign(folder, keys["alice"])
    assert verify_signature(folder, signers(("alice@example.org", "alice"))) == "alice@example.org"
    both = signers(("mallory", "mallory"), ("alice", "alice"))
    assert verify_signature(folder, both) == "alice"
    open_bundle(folder)  # the one file outside the manifest's list


@pytest.mark.parametrize(
    ("entry", "who"),
    [
        ("a,b", "a"),
        ("*@example.org", "*@example.org"),
        (f'alice namespaces="{NAMESPACE}"', "alice"),
        ('alice namespaces="git,mejiro-*",valid-after="20200101"', "alice"),
    ],
)
def test_what_openssh_allows_in_the_file_works(handmade, keys, signers, entry, who) -> None:
    folder = handmade.write()
    sign(folder, keys["alice"])
    assert verify_signature(folder, signers((entry, "alice"))) == who


def test_a_bundle_by_a_relative_path(handmade, keys, signers, monkeypatch) -> None:
    folder = handmade.write()
    sign(folder, keys["alice"])
    monkeypatch.chdir(folder.parent)
    listed = signers(("alice", "alice"))
    assert verify_signature(Path(folder.name), Path(listed.name)) == "alice"


def test_an_unsigned_bundle_is_refused(handmade, signers, tmp_path) -> None:
    folder, listed = handmade.write(), signers(("alice", "alice"))
    with pytest.raises(BundleError, match="bundle is not signed; sign it with `mejiro bundle"):
        verify_signature(folder, listed)
    (folder / SIGNATURE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="is not signed"):
        verify_signature(folder, listed)
    with pytest.raises(BundleError, match="is a link"):
        open_bundle(folder)
    with pytest.raises(BundleError, match=r"absent is not a file; give one of principals"):
        verify_signature(folder, tmp_path / "absent")


def test_a_stranger_s_signature_is_refused(handmade, keys, signers) -> None:
    folder = handmade.write()
    sign(folder, keys["mallory"])
    with pytest.raises(BundleError, match="signed by nobody that allowed signers lists"):
        verify_signature(folder, signers(("alice", "alice")))


@pytest.mark.parametrize("content", [b"", b"no signature", b"\xff" * 100])
def test_what_is_no_signature_is_refused(handmade, signers, content) -> None:
    folder = handmade.write()
    (folder / SIGNATURE_NAME).write_bytes(content)
    with pytest.raises(BundleError, match="signed by nobody"):
        verify_signature(folder, signers(("alice", "alice")))
    (folder / SIGNATURE_NAME).write_bytes(b"x" * 100_000)
    with pytest.raises(BundleError, match="larger than"):
        verify_signature(folder, signers(("alice", "alice")))


def test_a_signature_of_something_else_is_refused(handmade, keys, signers) -> None:
    folder, listed = handmade.write(), signers(("alice", "alice"))
    sign(folder, keys["alice"])
    (folder / "labels.txt").write_text("other\n", encoding="utf-8")
    signature = folder / SIGNATURE_NAME
    signature.rename(folder.parent / "kept")
    handmade.seal(folder)
    (folder.parent / "kept").rename(signature)
    open_bundle(folder)  # as a forger seals it, everything agrees
    with pytest.raises(BundleError, match="by alice is not one of this manifest"):
        verify_signature(folder, listed)
    sign(folder, keys["alice"], namespace="git")
    with pytest.raises(BundleError, match="is not one of this manifest"):
        verify_signature(folder, listed)
    sign(folder, keys["alice"])
    ended = signers(('alice valid-before="20200101"', "alice"))
    with pytest.raises(BundleError, match=r"may not sign it now|signed by nobody"):
        verify_signature(folder, ended)
    with pytest.raises(BundleError, match=r"may not sign it now|signed by nobody"):
        verify_signature(folder, signers(('alice namespaces="git"', "alice")))


def test_without_openssh_its_package_is_named(handmade, keys, signers, monkeypatch) -> None:
    folder = handmade.write()
    sign(folder, keys["alice"])
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(MissingPackage, match="openssh-client"):
        verify_signature(folder, signers(("alice", "alice")))


def test_verify_demands_a_signature_when_told(bundle, keys, signers, say) -> None:
    folder, listed = Path(bundle), signers(("alice", "alice"))
    code, out, err = say("verify", bundle, "--signers", str(listed))
    assert (code, out) == (1, "")
    assert "is not signed" in err
    assert err.count("\n") == 1
    sign(folder, keys["alice"])
    code, out, _ = say("verify", bundle, "--signers", str(listed))
    assert code == 0
    assert out.startswith("bundle: signed by alice\nbundle: all ")
    code, out, _ = say("verify", bundle, "--signers", str(listed), "--json")
    assert (code, json.loads(out)["signed_by"]) == (0, "alice")
    code, out, _ = say("verify", bundle, "--json")
    assert "signed_by" not in json.loads(out)


def test_a_start_without_a_signature_does_not_load_what_verifies_one() -> None:
    name = "mejiro_runtime.signature"
    code = f"import sys, mejiro_runtime.commands.verify; print('{name}' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_ed25519_signs_the_same_each_time(handmade, keys) -> None:
    folder = handmade.write()
    made = []
    for _ in range(2):
        sign(folder, keys["alice"])
        made.append((folder / SIGNATURE_NAME).read_bytes())
    assert made[0] == made[1]
