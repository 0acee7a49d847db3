"""Open the storage of a study: a file in its folder, or a database that machines share."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from mejiro.errors import DataError, MissingPackage, UsageError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

# What a journal that is cut short, or something else, makes its reader raise.
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, AssertionError)


def load_optuna() -> Any:
    """Return the `optuna` module, which then logs nothing by itself; raises MissingPackage."""
    try:
        optuna = importlib.import_module("optuna")
    except ModuleNotFoundError as error:
        if error.name != "optuna":  # the package is there, a part of it is broken
            raise
        raise MissingPackage(
            "Optuna", purpose="tuning", install="pip install 'mejiro[tune]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


def open_journal(path: Path) -> BaseStorage:
    """Open the journal at `path`, or begin one; several processes may, over NFS too.

    Each line is one operation, added under a lock that is a symbolic link beside the file; that
    of a process that was killed is broken after half a minute.
    """
    load_optuna()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileSymlinkLock(str(path))
    try:
        if path.exists():
            lock.acquire()
            try:
                _mend(path)
            finally:
                lock.release()
        return JournalStorage(JournalFileBackend(str(path), lock))
    except _DAMAGED as error:
        raise DataError(
            f"{path} is no journal of a study, or damaged ({error}); move it away, or give "
            "another --out"
        ) from None


def _mend(path: Path) -> None:
    """Cut off a last line that was not written to its end, as a machine leaves it that loses power.

    Whoever adds the next line would make one broken line of both. Raises ValueError or KeyError
    for a file that does not begin as a journal does.
    """
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if text:
        json.loads(text[:whole].partition(b"\n")[0])["op_code"]
    if whole < len(text):
        os.truncate(path, whole)
    elif text:
        json.loads(text[:-1].rpartition(b"\n")[2])


def open_database(url: str) -> BaseStorage:
    """Open the SQL database at `url`; raises UsageError or DataError if that cannot be done."""
    load_optuna()
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    shown = without_password(url)
    try:
        return RDBStorage(url)
    except ImportError:
        scheme = url.partition(":")[0]
        raise UsageError(
            f"no driver for {scheme} databases is installed; install one, such as "
            "`pip install psycopg2-binary` for PostgreSQL or `pip install pymysql` for MySQL"
        ) from None
    except (ArgumentError, ValueError):
        raise UsageError(
            f"'{shown}' is no address of a database; give one such as sqlite:///study.db or "
            "postgresql://user@host/name"
        ) from None
    except (SQLAlchemyError, RuntimeError) as error:
        raise DataError(f"{shown} cannot be used: {_first_line(error)}") from None


@contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Name `where` in one line if the storage there fails while the block runs."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        raise DataError(
            f"{where} cannot be used any more: {_first_line(cause)}; run the same command again "
            "to go on"
        ) from None


def without_password(url: str) -> str:
    """Return `url` as it may be shown."""
    try:
        parts = urlsplit(url)
        if parts.password is None:
            return url
        who, _, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{who.partition(':')[0]}:***@{host}"))
    except ValueError:
        return url.partition("://")[0] + "://…"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
