"""A bundle for a target holds what installs it there, and says in one line what it cannot hold."""

from __future__ import annotations

import filecmp
import json
import shutil
import string
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mejiro.bundle import BundleOptions, TargetOptions, write_bundle
from mejiro.bundle.kit import choose_backends
from mejiro.cli import main
from mejiro.errors import MissingPackage, TargetError, UsageError
from mejiro.model import Artifact
from mejiro.targets import TargetBackend, TargetProfile, TargetSystem, load_target
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import ArtifactCard, Format
from mejiro_runtime.manifest import SIGNATURE_NAME

BOARD_FILES = {
    "README.md",
    "constraints.txt",
    "install.sh",
    "installer/pip-25.3-py3-none-any.whl",
    "mejiro.service.in",
    "wheels/numpy-1.26.4-py3-none-any.whl",
    "wheels/onnxruntime-9.1-py3-none-any.whl",
    "wheels/protobuf-7.36.2-py3-none-any.whl",
    "wheels/requirements.txt",
}


@pytest.fixture
def write(index, colour_model, colour_pictures, tmp_path, warm_cache, monkeypatch):
    """Return what writes a bundle for a target into a folder of the name given."""
    monkeypatch.setenv("MEJIRO_CACHE", str(warm_cache))
    artifact, golden = colour_model(), colour_pictures()

    def write(profile: TargetProfile, name: str = "out", **options):
        sign = options.pop("sign", None)
        return write_bundle(
            [artifact],
            tmp_path / name,
            options=BundleOptions(
                name="cat finder",
                golden=golden,
                replace=True,
                target=TargetOptions(profile, **options),
                sign=sign,
            ),
        )

    return write


@pytest.fixture(scope="session")
def key(tmp_path_factory) -> Path:
    """Return an Ed25519 key."""
    path: Path = tmp_path_factory.mktemp("keys") / "id"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "maker", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def card_of(colour_model, format: Format) -> Artifact:
    artifact = colour_model()
    card: ArtifactCard = replace(artifact.card, format=format, file=f"colours.{format.value}")
    return replace(artifact, card=card)


def test_a_bundle_for_a_target_lists_all_that_installs_it(write, machine) -> None:
    bundle = write(machine())
    listed = set(bundle.manifest.files)
    assert listed >= BOARD_FILES
    assert bundle.manifest.target == "this-machine"
    wheels = {path.name for path in (bundle.folder / "wheels").glob("*.whl")}
    lines = (bundle.folder / "wheels" / "requirements.txt").read_text().splitlines()
    assert [line.split("==")[0] for line in lines] == [
        "mejiro-runtime",
        "numpy",
        "onnxruntime",
        "protobuf",
    ]
    sums = {bundle.manifest.files[f"wheels/{name}"].sha256 for name in wheels}
    assert {line.partition("--hash=sha256:")[2] for line in lines} == sums
    constraints = (bundle.folder / "constraints.txt").read_text().splitlines()
    assert constraints == [line.split(" ")[0] for line in lines]
    readme = (bundle.folder / "README.md").read_text()
    assert "sh install.sh" in readme
    assert "This machine" in readme
    assert "$" not in readme


@pytest.mark.requires_tool("ssh-keygen")
def test_the_same_inputs_give_the_same_bytes_signed_too(write, machine, key, index) -> None:
    one = write(machine(), "one", sign=key).folder
    shutil.rmtree(index)
    two = write(machine(), "two", sign=key, offline=True).folder
    names = sorted(p.relative_to(one).as_posix() for p in one.rglob("*") if p.is_file())
    assert SIGNATURE_NAME in names
    assert names == sorted(p.relative_to(two).as_posix() for p in two.rglob("*") if p.is_file())
    _, differing, failed = filecmp.cmpfiles(one, two, names, shallow=False)
    assert (differing, failed) == ([], [])


@pytest.mark.requires_tool("ssh-keygen")
def test_a_signature_is_openssh_s_and_outside_the_manifest(write, machine, key, tmp_path) -> None:
    folder = write(machine(), sign=key).folder
    signers = tmp_path / "signers"
    signers.write_text(f"maker@example.org {key.with_suffix('.pub').read_text()}")
    command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "maker@example.org"]
    command += ["-n", "mejiro-bundle", "-s", str(folder / SIGNATURE_NAME)]
    manifest = folder / "manifest.json"
    done = subprocess.run(command, input=manifest.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SIGNATURE_NAME not in json.loads(manifest.read_text())["files"]
    open_bundle(folder)


@pytest.mark.requires_tool("ssh-keygen")
def test_a_key_that_cannot_sign_leaves_no_bundle(write, machine, tmp_path, monkeypatch) -> None:
    bad = tmp_path / "bad key"
    bad.write_text("no key\n", encoding="utf-8")
    with pytest.raises(TargetError, match="bad key cannot sign: "):
        write(machine(), sign=bad)
    with pytest.raises(UsageError, match="absent is not a file"):
        write(machine(), sign=tmp_path / "absent")
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackage, match="ssh-keygen"):
        write(machine(), sign=bad)


def test_what_is_missing_for_a_target_leaves_no_bundle(write, machine, tmp_path, index) -> None:
    with pytest.raises(TargetError, match=r"no index has a wheel of numpy==5\.5 for this-machine"):
        write(machine(packages=["numpy==5.5"]))
    with pytest.raises(TargetError, match=r"the cache has no wheel .*without --offline"):
        write(machine(packages=["numpy==5.5"]), offline=True)
    with pytest.raises(
        TargetError, match="these versions do not go together: The user requested numpy==9"
    ):
        write(machine(packages=["numpy==9.0", "numpy==1.26.4"]))
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_what_the_runtime_needs_is_held_too(write, machine) -> None:
    """The runtime itself is on no index, so pip never saw that it needs numpy."""
    engine = TargetBackend("onnxruntime", "protobuf==8.0")
    with pytest.raises(TargetError, match=r"lacks numpy>=1\.23; add it to the target's packages"):
        write(machine(backends=[engine], packages=[]))


def test_engines_are_those_of_the_artifacts(colour_model) -> None:
    pi = TargetOptions(load_target("raspberry-pi-5"))
    onnx, tflite = (card_of(colour_model, format) for format in (Format.ONNX, Format.TFLITE))
    assert [b.distribution for b in choose_backends([onnx], pi)] == ["onnxruntime"]
    both = [b.distribution for b in choose_backends([tflite, onnx, tflite], pi)]
    assert both == ["ai-edge-litert", "onnxruntime"]
    other = replace(pi, engines=("tflite_runtime",))
    assert [b.distribution for b in choose_backends([tflite], other)] == ["tflite-runtime"]
    with pytest.raises(UsageError, match="has no engine 'torch'; it has ai-edge-litert, tflite"):
        choose_backends([onnx], replace(pi, engines=("torch",)))
    with pytest.raises(UsageError, match="no system 'buster'"):
        choose_backends([onnx], replace(pi, system="buster"))


def test_a_format_without_an_engine_names_the_choices(colour_model) -> None:
    onnx = card_of(colour_model, Format.ONNX)
    with pytest.raises(TargetError) as caught:
        choose_backends([onnx], TargetOptions(load_target("raspberry-pi-32bit")))
    assert str(caught.value) == (
        "raspberry-pi-32bit (bookworm) has no engine for colours.onnx: no wheel of one exists for "
        "armv7l; choose a .tflite file, which tflite-runtime runs there"
    )
    litert = TargetBackend("litert", "ai-edge-litert==2.3.0")
    runtime = TargetBackend("onnxruntime", "onnxruntime==1.32.0")
    old = TargetSystem("old", "Old", "3.10", "2.35", (litert,), ())
    new = TargetSystem("new", "New", "3.13", "2.41", (litert, runtime), ())
    profile = replace(load_target("raspberry-pi-5"), systems=(old, new))
    with pytest.raises(TargetError, match=r"choose --system new, or a \.tflite file, which"):
        choose_backends([onnx], TargetOptions(profile))


def test_a_jetson_is_never_given_the_cpu_unasked(colour_model, write_wheel, tmp_path) -> None:
    onnx = card_of(colour_model, Format.ONNX)
    options = TargetOptions(load_target("jetson-orin"))
    with pytest.raises(TargetError) as caught:
        choose_backends([onnx], options)
    told = str(caught.value)
    assert told.startswith("onnxruntime-gpu for jetson-orin (jetpack6) has to be brought")
    assert "--wheels" in told
    assert "--engine onnxruntime, which runs on the CPU" in told
    assert "a .tflite file with ai-edge-litert" in told
    write_wheel(tmp_path / "mine", "onnxruntime-gpu", "1.23.0", tag="cp310-cp310-linux_aarch64")
    brought = replace(options, wheels=(tmp_path / "mine",))
    assert [b.distribution for b in choose_backends([onnx], brought)] == ["onnxruntime-gpu"]
    with pytest.raises(TargetError, match=r"for Python 3\.12 from .*JetPack 7"):
        choose_backends([onnx], replace(brought, system="jetpack7"))
    asked = replace(options, engines=("onnxruntime",))
    assert [b.distribution for b in choose_backends([onnx], asked)] == ["onnxruntime"]


def test_a_brought_wheel_is_taken_and_no_other_of_its_name(
    write, machine, write_wheel, index, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path / "cache"))
    write_wheel(index, "onnxruntime-gpu", "1.31.1")  # for servers, say
    mine = write_wheel(tmp_path / "mine", "onnxruntime-gpu", "1.23.0")
    gpu = TargetBackend("onnxruntime", "onnxruntime-gpu>=1.18", "elsewhere")
    bundle = write(machine(backends=[gpu]), wheels=(tmp_path / "mine",))
    held = bundle.folder / "wheels" / mine.name
    assert list(held.parent.glob("onnxruntime*")) == [held]
    assert held.read_bytes() == mine.read_bytes()
    # Built again under the same name: the one in the cache is not it.
    write_wheel(tmp_path / "mine", "onnxruntime-gpu", "1.23.0", files={"gpu.py": b"built = 2\n"})
    write(machine(backends=[gpu]), wheels=(tmp_path / "mine",))
    assert held.read_bytes() == mine.read_bytes()


def test_wheels_come_from_a_folder_that_exists(write, machine, tmp_path) -> None:
    with pytest.raises(UsageError, match="absent is not a folder"):
        write(machine(), wheels=(tmp_path / "absent",))


@pytest.mark.requires_tool("systemd-analyze")
def test_systemd_takes_the_unit_with_every_place_filled_in(write, machine, tmp_path) -> None:
    text = (write(machine()).folder / "mejiro.service.in").read_text()
    unit = tmp_path / "mejiro.service"
    filled = {
        "description": "Cat finder",
        "user": "root",
        "workdir": "/tmp",
        "command": '/bin/sh "/a b/run"',
        "writable": '"/var/a b" /var/c',
        "environment": '"MEJIRO_CACHE=/var/a b" X=1',
    }
    for values in (filled, {**filled, "writable": "", "environment": ""}):
        unit.write_text(string.Template(text).substitute(values))
        command = ["systemd-analyze", "verify", "--man=no", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


# The command line.


def test_the_command_writes_a_bundle_for_a_file_of_ones_own(
    index, colour_model, colour_pictures, machine, tmp_path, capsys
) -> None:
    (system,) = machine().systems
    profile = tmp_path / "board.toml"
    profile.write_text(
        'schema = 1\nname = "board"\ntitle = "A board"\n'
        f'architecture = "{machine().architecture.value}"\n[[system]]\nname = "here"\n'
        f'title = "Here"\npython = "{system.python}"\nglibc = "{system.glibc}"\n'
        'packages = ["numpy==1.26.4"]\n[[system.backend]]\nname = "onnxruntime"\n'
        'package = "onnxruntime==9.1"\n',
        encoding="utf-8",
    )
    words = ["bundle", str(colour_model().path), "--out", str(tmp_path / "out")]
    words += ["--golden", str(colour_pictures()), "--target", str(profile)]
    assert main(words) == 0
    assert "for A board, Here" in capsys.readouterr().out
    assert open_bundle(tmp_path / "out").manifest.target == "board"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--system", "trixie"], 2, "--system, --engine, --wheels and --offline need a --target"),
        (["--offline"], 2, "need a --target"),
        (["--target", "toaster"], 2, "there is no target 'toaster'; use one of"),
        (["--target", "coral-usb"], 2, "coral-usb is an add-on"),
        (["--target", "raspberry-pi-5", "--system", "x"], 2, "has no system 'x'"),
        (["--target", "raspberry-pi-32bit"], 1, "no engine for colours-fp32.onnx"),
        (["--target", "jetson-orin"], 1, "has to be brought"),
    ],
)
def test_bad_targets_are_one_line(words, code, told, colour_model, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["bundle", str(colour_model().path), "--out", str(out), *words]) == code
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not out.exists()
