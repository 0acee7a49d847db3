"""install.sh makes an environment from the bundle alone, whole or not at all, whatever happens."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.bundle.archive import write_zip
from mejiro.bundle.board import install_text, write_board_files
from mejiro.bundle.closure import read_wheel
from mejiro.bundle.kit import Kit
from mejiro.bundle.wheel import write_runtime_wheel
from mejiro.targets import Provided, TargetProfile, TargetSystem

SHELLS = [name for name in ("dash", "sh", "busybox") if shutil.which(name)]
Install = Callable[..., "subprocess.CompletedProcess[str]"]


def kit_of(profile: TargetProfile, folder: Path, *names: str) -> Kit:
    wheels = tuple(read_wheel(next(folder.glob(f"{name}-*.whl"))) for name in names)
    pip = read_wheel(next(folder.glob("pip-*.whl")))
    system = profile.system()
    return Kit(profile, system, system.backends, system.packages, wheels, pip)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory, pip_files, write_wheel) -> Path:
    """Return a folder of the wheels that a bundle for this machine takes."""
    folder: Path = tmp_path_factory.mktemp("wheels")
    write_wheel(folder, "numpy", "1.26.4")
    write_wheel(folder, "pip", "25.3", files=pip_files)
    return folder


@pytest.fixture
def bundle(tmp_path, wheels, machine) -> Path:
    """Return a folder with a name to trip over that holds the parts that install."""
    folder = tmp_path / "it's a cat & finder"
    (folder / "wheels").mkdir(parents=True)
    profile = machine(packages=["numpy==1.26.4"])
    profile = replace(profile, systems=(replace(profile.system(), title="What's here"),))
    kit = replace(kit_of(profile, wheels, "numpy"), requirements=("numpy==1.26.4",))
    write_board_files(folder, kit, write_runtime_wheel(folder / "wheels"))
    return folder


@pytest.fixture
def install(bundle) -> Install:
    """Return what runs install.sh as a device without a network would, with options."""

    def install(*options: str, shell: str = "sh", **settings) -> subprocess.CompletedProcess[str]:
        words = [shell, "sh"] if shell == "busybox" else [shell]
        return subprocess.run(
            [*words, str(bundle / "install.sh"), *options],
            env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **settings},
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )

    return install


def works(env: Path) -> bool:
    command = [str(env / "bin" / "mejiro-run"), "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a refusal is."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("install.sh: error: ")
    return done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_plain_sh(bundle, shell) -> None:
    words = [shell, "sh"] if shell == "busybox" else [shell]
    done = subprocess.run([*words, "-n", str(bundle / "install.sh")], check=False)
    assert done.returncode == 0


def test_it_installs_beside_the_bundle_and_again_does_nothing(bundle, install) -> None:
    (bundle.parent / "json.py").write_text("raise SystemExit('a stranger was imported')")
    done = install(shell=SHELLS[0], PYTHONPATH=str(bundle.parent), PIP_REQUIRE_VIRTUALENV="1")
    assert (done.returncode, done.stderr) == (0, "")
    env = bundle.parent / f"{bundle.name}-env"
    assert done.stdout == f"{env}\n"
    assert works(env)
    version = "import numpy, mejiro_runtime, sys; print(numpy.__version__, sys.prefix)"
    command = [str(env / "bin" / "python"), "-I", "-c", version]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert shown == f"1.26.4 {env}\n"
    assert not (env / "lib" / "python3" / "site-packages" / "pip").exists()
    assert not [path for path in bundle.parent.iterdir() if path.name.startswith(".mejiro")]
    texts = [path for path in (env / "bin").iterdir() if not path.is_symlink()]
    assert not [path for path in texts if b".mejiro-new" in path.read_bytes()]
    made = (env / "pyvenv.cfg").stat().st_mtime_ns
    again = install()
    assert (again.returncode, again.stdout) == (0, f"{env}\n")
    assert (env / "pyvenv.cfg").stat().st_mtime_ns == made


def test_a_new_bundle_takes_the_place_of_the_old_one_only_when_it_works(
    bundle, install, tmp_path
) -> None:
    env = tmp_path / "deep er" / "env"
    assert install("--env", str(env)).returncode == 0
    (wheel,) = (bundle / "wheels").glob("numpy-*.whl")
    whole = wheel.read_bytes()
    requirements = bundle / "wheels" / "requirements.txt"
    listed = requirements.read_text()
    requirements.write_text(listed + "# another\n")
    wheel.write_bytes(whole + b"?")
    assert "the wheels cannot be installed: " in refused(install("--env", str(env)))
    assert works(env)
    wheel.write_bytes(whole)
    before = (env / "mejiro-bundle").read_text()
    assert install("--env", str(env)).returncode == 0
    assert (env / "mejiro-bundle").read_text() != before
    assert works(env)
    assert [path.name for path in env.parent.iterdir()] == ["env"]


def test_killed_anywhere_it_is_whole_or_absent_and_the_next_works(
    bundle, install, tmp_path
) -> None:
    env = tmp_path / "env"
    words = ["sh", str(bundle / "install.sh"), "--env", str(env)]
    chance = random.Random(6)
    for _ in range(4):
        process = subprocess.Popen(
            words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(0.05, 1.5))
        os.killpg(process.pid, chance.choice([signal.SIGKILL, signal.SIGTERM]))
        process.wait()
        assert not env.exists() or works(env)
    assert install("--env", str(env)).returncode == 0
    assert works(env)
    # Between the two moves of a replacement: the old environment comes back.
    (tmp_path / ".mejiro-old").mkdir()
    env.rename(tmp_path / ".mejiro-old" / "env")
    assert install("--env", str(env)).returncode == 0
    assert works(env)
    assert not (tmp_path / ".mejiro-old").exists()


def test_two_at_once_give_one_environment(bundle, install, tmp_path) -> None:
    env = tmp_path / "env"
    words = ["sh", str(bundle / "install.sh"), "--env", str(env)]
    processes = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in processes] == [f"{env}\n"] * 2
    assert works(env)


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)


@given(title=TEXT)
def test_whatever_a_profile_says_reaches_the_script_as_it_is(title, wheels, machine) -> None:
    profile = _changed(machine(), title=title)
    text = install_text(kit_of(profile, wheels), needed_bytes=1 << 20)
    head = text[: text.index("\nfail() {")]
    command = ["sh", "-c", f'{head}\nprintf "%s\\n%s" "$system" "$needed_kb"']
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.decode() == f"{title}\n1024"


# Refusals, each before anything is written.


def test_a_place_that_is_taken_or_closed_is_refused(bundle, install, tmp_path) -> None:
    taken = tmp_path / "photos"
    taken.mkdir()
    (taken / "holiday.jpg").write_bytes(b"x")
    assert "photos was not made by install.sh" in refused(install("--env", str(taken)))
    assert [path.name for path in taken.iterdir()] == ["holiday.jpg"]
    assert "holds a quote, dollar" in refused(install("--env", str(tmp_path / "a$b")))
    inside = str(taken / "holiday.jpg" / "env")
    assert "holiday.jpg is not a folder" in refused(install("--env", inside))
    assert "--env needs a value" in refused(install("--env"))
    assert "unknown option '--fast'" in refused(install("--fast"))
    assert "no-python is not here" in refused(install("--python", "no-python"))
    (bundle / "wheels" / "requirements.txt").unlink()
    assert "lacks its wheels" in refused(install())


def _script(bundle: Path, wheels: Path, profile: TargetProfile, needed_bytes: int = 0) -> None:
    text = install_text(kit_of(profile, wheels), needed_bytes)
    (bundle / "install.sh").write_text(text, encoding="utf-8")


def _changed(profile: TargetProfile, **changes) -> TargetProfile:
    return replace(profile, systems=(replace(profile.system(), **changes), *profile.systems[1:]))


def test_a_machine_that_does_not_fit_is_refused(bundle, install, wheels, machine) -> None:
    here = machine()
    python = here.system().python
    fitting = TargetSystem("sid", "Sid", python, "2.17", here.system().backends, ())
    cases = {
        "for Python 3.99 (This system), found": _changed(here, python="3.19"),
        "write it again with --system sid": _changed(
            machine(more=[replace(fitting, name="sid")]), python="3.19"
        ),
        "need glibc 2.99 or newer, found 2.": _changed(here, glibc="2.99"),
        "nothere is not installed; run `sudo apt install python3-nothere`": _changed(
            here,
            system_site_packages=True,
            provided=(Provided("nothere", "1.0", "nothere", "python3-nothere"),),
        ),
    }
    for told, profile in cases.items():
        _script(bundle, wheels, profile)
        assert told.replace("3.99", "3.19") in refused(install("--check"))
    text = (bundle / "install.sh").read_text()
    machine_line = f"machine={here.architecture.value}\n"
    assert machine_line in install_text(kit_of(here, wheels), 0)
    _script(bundle, wheels, here)
    text = (bundle / "install.sh").read_text().replace(machine_line, "machine=s390x\n")
    (bundle / "install.sh").write_text(text)
    assert "for this-machine (s390x), this system is" in refused(install())
    _script(bundle, wheels, here, needed_bytes=1 << 50)
    assert "the environment needs 1073741824 MB" in refused(install())
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_a_check_says_where_and_writes_nothing(bundle, install) -> None:
    done = install("--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{bundle.parent / (bundle.name + '-env')}\n"
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_a_folder_that_cannot_be_written_is_refused(bundle, install, tmp_path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert "closed cannot be written" in refused(install("--env", str(closed / "env")))


def test_a_disk_that_fills_up_is_told_and_left_as_it_was(bundle, install, tmp_path) -> None:
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("a small disk takes root and unshare")
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "mount.sh").write_text(
        'mount -t tmpfs -o size=1M tmpfs "$2" || exit 77\n'
        'sh "$1/install.sh" --env "$2/env"; code=$?; ls -A "$2"; exit $code\n'
    )
    script = bundle / "install.sh"
    script.write_text(re.sub(r"(?m)^needed_kb=.*", "needed_kb=1", script.read_text()))
    words = ["unshare", "--mount", "--propagation", "private", "sh", str(tmp_path / "mount.sh")]
    command = [*words, str(bundle), str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        pytest.skip(f"no small disk can be had here: {done.stderr}")
    assert "No space left on device" in refused(done)


def test_packages_that_do_not_work_are_not_put_in_place(bundle, install, tmp_path) -> None:
    (wheel,) = (bundle / "wheels").glob("numpy-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    old = read_wheel(wheel).sha256
    write_zip(
        wheel, {**members, "numpy.py": b"raise ImportError('error: built for another CPU')\n"}
    )
    requirements = bundle / "wheels" / "requirements.txt"
    requirements.write_text(requirements.read_text().replace(old, read_wheel(wheel).sha256))
    told = refused(install("--env", str(tmp_path / "env")))
    assert "the installed packages do not work: ImportError: error: built for another CPU" in told
    assert not (tmp_path / "env").exists()
