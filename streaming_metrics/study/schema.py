"""Schema of a study's store, and connections to it that lose nothing: each commit is forced to the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = 0x534D5354  # "SMST", in the file's header: what is not ours is refused before anything is written to it
VERSION = 1
PATIENCE = 10.0
"""Seconds that a connection waits for another process's write."""

TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    number INTEGER PRIMARY KEY, condition TEXT NOT NULL, "index" INTEGER NOT NULL, type TEXT NOT NULL,
    sha256 TEXT NOT NULL, data BLOB NOT NULL
);
CREATE TABLE raters (
    slot INTEGER PRIMARY KEY, token_sha256 TEXT NOT NULL UNIQUE, pseudonym TEXT NOT NULL UNIQUE,
    consented TEXT, finished TEXT
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY, rater INTEGER NOT NULL REFERENCES raters, trial INTEGER NOT NULL CHECK (trial >= 0),
    judgement TEXT NOT NULL, UNIQUE (rater, trial)
);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""


class StoreRefused(ValueError):
    """A file that is no store of a study, or not one that this version reads."""


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection whose commits are on the disk when they return; an empty file gets the tables.

    Raises:
        StoreRefused: where the file is no store, is damaged, or was made by a later version.
    """
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        _check(path, connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            raise _refused(path, str(error)) from error
        raise
    return connection


def _check(path: Path, connection: sqlite3.Connection) -> None:
    application, version, tables = (_value(connection, query) for query in IDENTITY)
    if tables and application != APPLICATION:
        raise _refused(path, "another program's database")
    if int(version) > VERSION:
        raise _refused(path, f"one of version {version}, where this program knows {VERSION}")
    if (mode := _value(connection, "PRAGMA journal_mode = WAL")) != "wal":
        raise _refused(path, f"a file whose disk allows no write-ahead log (journal mode {mode})")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if not tables:
        _make(connection)


IDENTITY = ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")


def _make(connection: sqlite3.Connection) -> None:
    try:
        connection.executescript(TABLES)
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if _value(connection, "PRAGMA application_id") != APPLICATION:  # else another process has just made them
            raise


def _value(connection: sqlite3.Connection, query: str) -> int | str:
    with closing(connection.execute(query)) as cursor:
        return cursor.fetchone()[0]


def _refused(path: Path, found: str) -> StoreRefused:
    return StoreRefused(f"{path}: expected the store of a study, got {found}. Remedy: name another file with --store.")
