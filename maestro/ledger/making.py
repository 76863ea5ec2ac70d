"""Makes a ledger's database where there is none yet, and refuses one that was there and is lost."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from maestro.errors import InputError, Location, MaestroError
from maestro.ledger.tables import METADATA
from maestro.ledger.witness import Witness, database_file, unusable
from maestro.server.database import first_line, make_tables


def make_ledger(engine: sa.Engine) -> None:
    """Makes the tables that are not there, and with SQLite the folder; several processes may do so at once.

    Raises:
        LedgerLostError: the file was known here and is gone, empty or another one.
        InputError: the file's folder cannot be made.
        MaestroError: the database does not answer, or its file cannot be used.
    """
    file = database_file(engine.url)
    if file is None:
        make_tables(engine, METADATA)
    else:
        _make_file(engine, file)


def _make_file(engine: sa.Engine, file: Path) -> None:
    _make_folder(file.parent)
    witness = Witness(file)
    witness.check_same(engine)
    try:
        make_tables(engine, METADATA)
    except MaestroError as error:
        cause = error.__cause__
        raise unusable(file, first_line(cause) if isinstance(cause, SQLAlchemyError) else str(error)) from error
    witness.write(engine)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the ledger's folder cannot be made: {error.strerror}",
            where=Location(str(folder)),
            next_step="check who may write there",
        ) from error
