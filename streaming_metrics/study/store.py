"""Store of a study: its items, its raters and their answers in one SQLite file, which survives a kill at any moment.

An answer is on the disk before ``answer`` returns: write-ahead log, ``synchronous=FULL``, one transaction an answer.
What was interrupted before that is not there at all; SQLite drops what it finds half-written when it opens the file.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.ratings.judgement import Judgement
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.study.database import Database
from streaming_metrics.study.records import Item, ItemFacts, Progress, Rater
from streaming_metrics.study.schema import StoreRefused
from streaming_metrics.study.tokens import TokenKey, digest_of, is_token, new_pseudonym, new_token

if TYPE_CHECKING:
    from collections.abc import Iterable


class StudyChanged(ValueError):
    """A plan or its items that differ from those that the store's answers were given for."""


class Store:
    """Store of one study in one file. Its methods may be called from any thread, and from several processes.

    Example:
        >>> import tempfile
        >>> with Store.open(Path(tempfile.mkdtemp(), "digits.sqlite")) as store:
        ...     store.begin("digits-1a2b3c4d", digest="1a2b3c4d", plan="{}")
        ...     store.add_items([Item(0, "real", 0, "image/png", b"pixels")])
        ...     (token,) = store.make_raters(1)
        ...     store.item(0).condition, store.rater(token).slot, store.done(slot=0)
        True
        ('real', 0, 0)
    """

    def __init__(self, path: Path, database: Database) -> None:
        self.path, self._database = path, database
        self._key = TokenKey(path.with_name(path.name + ".key"))

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """Open a store, or make one where no file is; only its owner may read it.

        Raises:
            StoreRefused: where the file is no store, or one of a later version.
        """
        path = Path(path).resolve()
        return cls(path, Database(path))

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, study: str, digest: str, plan: str) -> bool:
        """Say which study this is, and return whether its items are still to be added.

        A plan that changed while nothing was answered takes the place of the earlier one, whose items go.

        Raises:
            StudyChanged: where answers to another plan are kept.
        """
        before = self.meta("digest")
        if before not in (None, digest):
            self._refuse_answered(study)
        with self._database.transaction() as connection:
            if before != digest:
                connection.execute("DELETE FROM items")
            rows = {"study": study, "digest": digest, "plan": plan}.items()
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        return not self._database.rows("SELECT 1 FROM items LIMIT 1")

    def _refuse_answered(self, study: str) -> None:
        if count := self._database.rows("SELECT COUNT(*) FROM answers")[0][0]:
            raise StudyChanged(
                f"{self.path}: expected the study that its answers were given for, {self.meta('study')}, got {study}: "
                f"the plan, its prompts or its items have changed, and {count} answers are kept. "
                "Remedy: undo the change, or begin anew with --store and another file."
            )

    def meta(self, name: str) -> str | None:
        """Return what is kept under a name: ``study``, ``digest``, ``plan``, what was noted; None: nothing is."""
        rows = self._database.rows("SELECT value FROM meta WHERE name = ?", name)
        return rows[0][0] if rows else None

    def note(self, name: str, value: str) -> None:
        """Keep something else that is known of the study under a name, in place of what stood there."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def add_items(self, items: Iterable[Item]) -> None:
        """Add items: all, or none where one fails."""
        with self._database.transaction() as connection:
            rows = ((i.number, i.condition, i.index, i.type, i.facts.sha256, i.data) for i in items)
            connection.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", rows)

    def item(self, number: int) -> Item | None:
        """Return an item, or None where there is none of this number."""
        rows = self._database.rows('SELECT number, condition, "index", type, data FROM items WHERE number = ?', number)
        return Item(*rows[0]) if rows else None

    def items(self) -> tuple[ItemFacts, ...]:
        """Return all items by number, without their bytes."""
        rows = self._database.rows('SELECT number, condition, "index", type, sha256 FROM items ORDER BY number')
        return tuple(ItemFacts(*row) for row in rows)

    def make_raters(self, count: int) -> tuple[str, ...]:
        """Make rater slots until there are ``count``, and return the tokens of the first ``count``.

        A token is a keyed hash of its slot. The key lies in a file of its own beside the store (``….sqlite.key``), and
        the store has only hashes of tokens: a copy of the store that is passed on opens no link, while who has both can
        print the links again.

        Raises:
            StoreRefused: where the key is lost.
        """
        with self._database.transaction() as connection:
            (there,) = connection.execute("SELECT COUNT(*) FROM raters").fetchone()
            if not there:
                self._key.make()
            tokens = enumerate(self._made(range(there, count)), there)
            rows = ((slot, digest_of(token), new_pseudonym()) for slot, token in tokens)
            connection.executemany("INSERT INTO raters (slot, token_sha256, pseudonym) VALUES (?, ?, ?)", rows)
        return self.tokens()[:count]

    def tokens(self) -> tuple[str, ...]:
        """Return the tokens of all slots.

        Raises:
            StoreRefused: where the key beside the store is lost, or another's: links can then not be printed again.
        """
        rows = self._database.rows("SELECT token_sha256 FROM raters ORDER BY slot")
        tokens = self._made(range(len(rows)))
        if [digest_of(token) for token in tokens] != [kept for (kept,) in rows]:
            raise self._no_key("another")
        return tokens

    def _made(self, slots: range) -> tuple[str, ...]:
        try:
            return tuple(self._key.token(slot) for slot in slots)
        except FileNotFoundError as error:
            raise self._no_key("none") from error

    def _no_key(self, got: str) -> StoreRefused:
        return StoreRefused(
            f"{self._key.path}: expected the key that the raters' links were made with, got {got}. "
            "Remedy: put the key file back beside the store; links that were handed out work without it."
        )

    def rater(self, token: str) -> Rater | None:
        """Return whose token this is, or None."""
        query = "SELECT slot, pseudonym, consented, finished FROM raters WHERE token_sha256 = ?"
        rows = self._database.rows(query, digest_of(token))
        return Rater(*rows[0]) if rows else None

    def consent(self, slot: int) -> None:
        """Note when a rater consented; the first time stays."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE raters SET consented = COALESCE(consented, ?) WHERE slot = ?", (now(), slot))

    def finish(self, slot: int) -> None:
        """Note when a rater was done with all trials; the first time stays."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE raters SET finished = COALESCE(finished, ?) WHERE slot = ?", (now(), slot))

    def answer(self, slot: int, judgement: Judgement) -> Judgement:
        """Keep a rater's answer to a trial, and return the one that is kept: the first, where one was there.

        It is on the disk when this returns.

        Raises:
            sqlite3.Error: where it could not be written; then nothing was.
        """
        new = (slot, judgement.trial, json.dumps(asdict(judgement), allow_nan=False))
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO answers (rater, trial, judgement) VALUES (?, ?, ?)", new)
            query = "SELECT judgement FROM answers WHERE rater = ? AND trial = ?"
            (text,) = connection.execute(query, new[:2]).fetchone()
        return _judgement(text)

    def judgements(self) -> Judgements:
        """Return all answers as judgements, in the order in which they came."""
        return Judgements(
            _judgement(text) for (text,) in self._database.rows("SELECT judgement FROM answers ORDER BY id")
        )

    def done(self, slot: int) -> int:
        """Return how many trials of a rater are answered."""
        return self._database.rows("SELECT COUNT(*) FROM answers WHERE rater = ?", slot)[0][0]

    def progress(self) -> tuple[Progress, ...]:
        """Return how far each rater slot is."""
        done = "(SELECT COUNT(*) FROM answers WHERE rater = slot)"
        rows = self._database.rows(f"SELECT slot, pseudonym, consented, finished, {done} FROM raters ORDER BY slot")
        return tuple(Progress(*row) for row in rows)

    def is_admin(self, token: str) -> bool:
        """Return whether a token opens the admin page."""
        return is_token(token, self.meta("admin"))

    def admin_token(self) -> str | None:
        """Return a new token of the admin page where there is none yet, else None: only its hash is kept."""
        return None if self.meta("admin") else self.new_admin_token()

    def new_admin_token(self) -> str:
        """Return a new token of the admin page; the earlier one opens it no more."""
        token = new_token()
        self.note("admin", digest_of(token))
        return token


def _judgement(text: str) -> Judgement:
    fields = json.loads(text)
    return Judgement(**{**fields, "items": tuple(fields["items"]), "conditions": tuple(fields["conditions"])})


def now() -> str:
    """Return the time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
