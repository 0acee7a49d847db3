from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mejiro_agent import upload
from mejiro_agent.errors import AgentError
from mejiro_agent.root import Root
from mejiro_agent.upload import check_signature

pytestmark = pytest.mark.requires_tool("ssh-keygen")

MANIFEST = b'{"files": {}}\n'


def _key(folder: Path, name: str) -> tuple[Path, bytes]:
    """Make a key; return it, and the line that allows its signatures."""
    path = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True
    )
    public = path.with_suffix(".pub").read_text(encoding="ascii")
    return path, f"{name}@example.org {public}".encode()


def _sign(
    folder: Path, key: Path, data: bytes = MANIFEST, namespace: str = "mejiro-bundle"
) -> bytes:
    path = folder / "manifest.json"
    path.write_bytes(data)
    signature = folder / "manifest.json.sig"
    signature.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return signature.read_bytes()


def test_without_signers_anything_is_taken(root: Root) -> None:
    assert check_signature(root, MANIFEST, None, None) is None
    assert not root.signers.exists()


def test_the_first_deploy_sets_the_signers_and_later_ones_are_held_to_them(
    root: Root, tmp_path: Path
) -> None:
    key, signers = _key(tmp_path, "maker")
    signature = _sign(tmp_path, key)
    assert check_signature(root, MANIFEST, signature, signers) == "maker@example.org"
    assert root.signers.read_bytes() == signers
    assert check_signature(root, MANIFEST, signature, None) == "maker@example.org"
    assert check_signature(root, MANIFEST, signature, signers) == "maker@example.org"
    with pytest.raises(AgentError, match="is not signed"):
        check_signature(root, MANIFEST, None, None)


@pytest.mark.parametrize("told", [b"second\nthird\n", b"second,third\n"])
def test_an_entry_may_list_names(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bytes
) -> None:
    key, line = _key(tmp_path, "maker")
    entry = b"second,third " + line.split(b" ", 1)[1]
    ask = upload._ssh_keygen

    def answer(words: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
        done = ask(words, data)
        if words[0] == "find-principals" and done.returncode == 0:
            done.stdout = told  # as newer and as older versions say it
        return done

    monkeypatch.setattr(upload, "_ssh_keygen", answer)
    assert check_signature(root, MANIFEST, _sign(tmp_path, key), entry) == "second"


def test_signers_that_do_not_fit_the_bundle_are_not_kept(root: Root, tmp_path: Path) -> None:
    key, _ = _key(tmp_path, "maker")
    _, others = _key(tmp_path, "other")
    for signature, told in ((_sign(tmp_path, key), "does not know"), (None, "is not signed")):
        with pytest.raises(AgentError, match=told):
            check_signature(root, MANIFEST, signature, others)
    assert not root.signers.exists()


def test_another_manifest_key_or_purpose_is_refused(root: Root, tmp_path: Path) -> None:
    key, signers = _key(tmp_path, "maker")
    thief, thiefs = _key(tmp_path, "thief")
    root.signers.write_bytes(signers)
    good = _sign(tmp_path, key)
    with pytest.raises(AgentError, match="signature is wrong"):
        check_signature(root, MANIFEST + b" ", good, None)
    with pytest.raises(AgentError, match="does not know"):
        check_signature(root, MANIFEST, _sign(tmp_path, thief), None)
    with pytest.raises(AgentError, match="signature is wrong"):
        check_signature(root, MANIFEST, _sign(tmp_path, key, namespace="git"), None)
    with pytest.raises(AgentError, match="does not know"):
        check_signature(root, MANIFEST, b"no signature", None)
    with pytest.raises(AgentError, match="other allowed signers"):
        check_signature(root, MANIFEST, good, thiefs)
    assert root.signers.read_bytes() == signers


def test_a_device_that_cannot_check_refuses(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, signers = _key(tmp_path, "maker")
    signature = _sign(tmp_path, key)
    root.signers.write_bytes(signers)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(AgentError, match="no ssh-keygen"):
        check_signature(root, MANIFEST, signature, None)


def test_a_release_is_named_by_its_hash_alone() -> None:
    assert upload.check_name("0123456789abcdef") == "0123456789abcdef"
    for name in ("", "..", "0123456789ABCDEF", "0123456789abcdef/..", "0123456789abcdef.part"):
        with pytest.raises(AgentError, match="not the name of a release"):
            upload.check_name(name)
