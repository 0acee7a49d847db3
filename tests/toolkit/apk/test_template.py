from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mejiro.apk import assembling
from mejiro.apk.assembling import assemble
from mejiro.apk.template import (
    CODE,
    RESOURCES,
    TEMPLATE_FILES,
    read_template,
    sources,
    with_background,
)
from mejiro.errors import ApkError, MissingPackage

needs_assembler = pytest.mark.requires_tool(
    "java", "aapt", str(assembling.SMALI), str(assembling.FRAMEWORK)
)


@pytest.mark.slow
@needs_assembler
def test_the_template_is_what_its_sources_make(tmp_path: Path) -> None:
    assemble(sources(), tmp_path)
    kept = sources() / "template"
    assert sorted(str(p.relative_to(kept)) for p in kept.rglob("*") if p.is_file()) == sorted(
        TEMPLATE_FILES
    )
    for name in TEMPLATE_FILES:
        assert (tmp_path / name).read_bytes() == (kept / name).read_bytes(), name


@needs_assembler
def test_what_the_tools_say_of_wrong_sources_is_passed_on(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(sources(), source)
    callback = source / "smali" / "BackCallback.smali"
    callback.write_text(callback.read_text().replace("return-void", "return-nothing"))
    with pytest.raises(ApkError, match=r"java cannot assemble the template: .*BackCallback"):
        assemble(source, tmp_path / "out")
    shutil.copy(sources() / "smali" / callback.name, callback)
    (source / "res" / "values" / "strings.xml").write_text("<resources>")
    with pytest.raises(ApkError, match="aapt cannot assemble the template"):
        assemble(source, tmp_path / "out")


def test_missing_tools_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembling, "SMALI", tmp_path / "smali.jar")
    with pytest.raises(MissingPackage, match="apt install .*libsmali-java"):
        assemble(sources(), tmp_path)
    for name in ("smali.jar", "framework.apk"):
        (tmp_path / name).touch()
    monkeypatch.setattr(assembling, "FRAMEWORK", tmp_path / "framework.apk")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingPackage, match="needs java"):
        assemble(sources(), tmp_path)


@pytest.mark.parametrize("name", TEMPLATE_FILES)
def test_a_broken_template_is_told(tmp_path: Path, name: str) -> None:
    shutil.copytree(sources() / "template", tmp_path, dirs_exist_ok=True)
    file = tmp_path / name
    if name in (CODE, RESOURCES):
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(ApkError, match=f"{name} is damaged"):
            read_template(tmp_path)
    file.write_bytes(bytes(2 << 20))
    with pytest.raises(ApkError, match="is damaged"):
        read_template(tmp_path)
    file.unlink()
    with pytest.raises(ApkError, match=f"has no {name}"):
        read_template(tmp_path)


def test_a_colour_has_one_place() -> None:
    table = read_template()[RESOURCES]
    coloured = with_background(table, 0xFF123456)
    assert len(coloured) == len(table)
    with pytest.raises(ApkError, match="damaged"):
        with_background(coloured, 0xFF123456)


@pytest.mark.requires_tool("aapt")
def test_the_code_calls_texts_by_the_numbers_they_have(tmp_path: Path) -> None:
    """The numbers stand in the code as they are; res/values/public.xml keeps them."""
    import zipfile

    package = tmp_path / "a.apk"
    with zipfile.ZipFile(package, "w") as archive:
        for name, data in read_template().items():
            archive.writestr(name, data)
    said = subprocess.run(
        ["aapt", "dump", "resources", str(package)], capture_output=True, text=True, check=True
    ).stdout
    for number, name in enumerate(("no_webview", "not_saved", "saved", "ended")):
        assert f"spec resource 0x7f03000{number} org.mejiro.app.template:string/{name}:" in said
