"""Opening storages: damaged journals, addresses that are none, passwords that stay hidden."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from mejiro.errors import DataError, MissingPackage, UsageError
from mejiro.tune.storage import (
    load_optuna,
    open_database,
    open_journal,
    storage_errors,
    without_password,
)


@pytest.mark.parametrize(
    "content", ["no journal\n", "none", "{}\n", '{"op_code": 99}\n', "[]\n", '{"op_code"']
)
def test_what_is_no_journal_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "study.journal"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="is no journal of a study, or damaged"):
        open_journal(path)
    assert path.read_text(encoding="utf-8") == content


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    optuna = load_optuna()
    study = optuna.create_study(storage=open_journal(path), study_name="birds")
    study.tell(study.ask(), 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"worker')
    again = optuna.load_study(storage=open_journal(path), study_name="birds")
    assert path.read_bytes() == whole
    again.tell(again.ask(), 2.0)
    assert len(optuna.load_study(storage=open_journal(path), study_name="birds").trials) == 2


def test_a_journal_lies_in_a_new_folder(tmp_path: Path) -> None:
    open_journal(tmp_path / "a" / "b" / "study.journal")
    assert (tmp_path / "a" / "b" / "study.journal").is_file()


@pytest.mark.parametrize("url", ["study.db", "", "sqlite", "nothing://x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_database(url)


def test_a_driver_that_is_not_installed_is_named() -> None:
    with pytest.raises(UsageError, match=r"no driver for postgresql\+pg8000"):
        open_database("postgresql+pg8000://user@localhost/name")


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be used"):
        open_database(f"sqlite:///{tmp_path}/absent/study.db")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_bytes(b"no database, but long enough to be taken for one" * 50)
    with pytest.raises(DataError, match="cannot be used"):
        open_database(f"sqlite:///{path}")


def test_a_database_that_fails_later_is_named() -> None:
    from optuna.exceptions import StorageInternalError

    with (
        pytest.raises(DataError, match="^study.db cannot be used any more: gone; run the same"),
        storage_errors("study.db"),
    ):
        raise StorageInternalError("gone\nand more")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5432/name", "postgresql://me:***@host:5432/name"),
        ("mysql+pymysql://secret:secret@host/name", "mysql+pymysql://secret:***@host/name"),
        ("sqlite:///study.db", "sqlite:///study.db"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingPackage, match=r"pip install 'mejiro\[tune\]'"):
        load_optuna()


def test_optuna_itself_says_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    storage = open_journal(tmp_path / "study.journal")
    optuna = load_optuna()
    study = optuna.create_study(storage=storage)
    study.tell(study.ask(), 1.0)
    assert capfd.readouterr() == ("", "")
