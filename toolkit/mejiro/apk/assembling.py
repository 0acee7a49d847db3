"""Assemble the shell of an Android package from its sources, the same bytes each time.

    python -m mejiro.apk.assembling

It takes Debian's libsmali-java, aapt and android-framework-res, and is needed by those who change
the sources alone: what it writes is kept in the repository.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from mejiro.apk.icon import SIZES
from mejiro.apk.template import (
    ADAPTIVE_ICON,
    CODE,
    MANIFEST,
    MIN_SDK,
    RESOURCES,
    default_icon,
    sources,
)
from mejiro.errors import ApkError, MissingPackage

SMALI = Path("/usr/share/java/smali.jar")
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
# Both take seconds; smali, where it meets what it did not think of, fails and never ends.
TIMEOUT_S = 120


def assemble(source: Path, out: Path) -> None:
    """Compile the sources into the files of a template, the same bytes each time.

    Raises MissingPackage for a tool that is not there, ApkError with what one says.
    """
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        code = work / CODE
        # In order and one at a time: the order in which files are done shows in the result.
        files = sorted((source / "smali").glob("*.smali"))
        smali = ("java", "-jar", SMALI, "assemble", "--api", MIN_SDK, "--jobs", 1)
        _run(*smali, *files, "--output", code)
        shutil.copytree(source / "res", work / "res")
        for density in SIZES:  # a picture so that there is one; each package brings its own
            _write(work / "res" / f"mipmap-{density}" / "picture.png", default_icon())
        package = work / "template.apk"
        aapt = ("aapt", "package", "--no-crunch", "--no-version-vectors", "-I", FRAMEWORK)
        _run(*aapt, "-M", source / MANIFEST, "-S", work / "res", "-F", package)
        with zipfile.ZipFile(package) as archive:
            for name in (MANIFEST, ADAPTIVE_ICON, RESOURCES):
                _write(out / name, archive.read(name))
        _write(out / CODE, code.read_bytes())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _run(program: str, *words: object) -> None:
    """Run a program whose last word is the file that it is to write."""
    for needed in (SMALI, FRAMEWORK):
        if not needed.is_file():
            raise _missing(str(needed))
    try:
        done = subprocess.run(
            [program, *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except FileNotFoundError:
        raise _missing(program) from None
    except subprocess.TimeoutExpired:
        raise ApkError(f"{program} does not end; look at what was changed last") from None
    # smali calls itself successful after an error in what it read.
    if done.returncode or not Path(str(words[-1])).is_file():
        said = " ".join((done.stderr or done.stdout).split())
        raise ApkError(f"{program} cannot assemble the template: {said[:300]}")


def _missing(what: str) -> MissingPackage:
    return MissingPackage(
        what,
        purpose="assembling the Android shell",
        install="sudo apt install aapt android-framework-res default-jre-headless libsmali-java",
    )


if __name__ == "__main__":
    assemble(sources(), sources() / "template")
