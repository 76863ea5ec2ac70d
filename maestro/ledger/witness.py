"""Notices that the file of a ledger was deleted, emptied or replaced: without it every budget would begin anew.

A small file beside the database holds its number, which the database has in its header (SQLite's ``user_version``). It
is written once, when the database has its tables; from then on a database that is not there or has another number is
refused. PostgreSQL keeps its own.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import Location, MaestroError
from maestro.ledger.errors import LedgerLostError
from maestro.server.database import first_line, reading


def witness_of(file: Path) -> Path:
    """The file that tells whether ``file`` is the database it was; not removed by ``rm ledger.db*``."""
    return file.with_name(f"{file.stem}-id")


def database_file(url: sa.URL) -> Path | None:
    """The SQLite file ``url`` names; None: it names none."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


class Witness:
    """Looks after one file; several processes may at once.

    Args:
        file: of the database.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._beside = witness_of(file)
        self._inode: int | None = None

    def check_there(self) -> None:
        """Refuses a file that was there and is gone or empty, or is another than at the first look.

        Raises:
            LedgerLostError: it is.
        """
        try:
            found = self.file.stat()
        except FileNotFoundError:
            if self._inode is not None or self._beside.exists():
                raise LedgerLostError(self.file, self._beside, "is gone") from None
            return
        if found.st_size == 0 and self._beside.exists():
            raise LedgerLostError(self.file, self._beside, "was emptied")
        if self._inode is None:
            self._inode = found.st_ino
        elif found.st_ino != self._inode:
            raise LedgerLostError(self.file, self._beside, "was replaced while it was in use")

    def check_same(self, engine: sa.Engine) -> None:
        """Refuses a database with another number than the witness has.

        Raises:
            LedgerLostError: it has.
            MaestroError: it cannot be read.
        """
        self.check_there()
        try:
            known = self._beside.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            known = "unreadable"
        try:
            with reading(engine).connect() as connection:
                number = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        except SQLAlchemyError as error:
            raise unusable(self.file, first_line(error)) from error
        if str(number) != known:
            raise LedgerLostError(self.file, self._beside, "is another database than the one known here")

    def write(self, engine: sa.Engine) -> None:
        """Keeps the number of a database that has its tables; gives it one where it has none.

        Raises:
            MaestroError: it cannot be written.
        """
        if self._beside.exists():
            return
        temporary = self._beside.with_name(f".{self._beside.name}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            with engine.begin() as connection:
                number = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                if not number:
                    number = 1 + secrets.randbelow(2**31 - 1)
                    connection.exec_driver_sql(f"PRAGMA user_version = {number}")
            temporary.write_text(f"{number}\n", encoding="ascii")
            temporary.replace(self._beside)
        except SQLAlchemyError as error:
            raise unusable(self.file, first_line(error)) from error
        except OSError as error:
            raise unusable(self._beside, str(error.strerror)) from error


def unusable(file: Path, reason: str) -> MaestroError:
    """What is told of a ledger's file that is none: a folder, or damaged."""
    if file.is_dir():
        reason = "it is a folder"
    return MaestroError(
        f"the ledger cannot be used: {reason}",
        where=Location(str(file)),
        next_step="check who may read and write it and that the disk is not full; "
        "a folder or a damaged file: move it away and restore the ledger from a backup",
    )
