"""Records of a study's store: items, rater slots, and how far each slot is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class ItemFacts:
    """Facts of an item, without its bytes: the ``index``-th image of a condition."""

    number: int
    condition: str
    index: int
    type: str
    sha256: str


@dataclass(frozen=True)
class Item:
    """Item of a study: an encoded image, as raters get it."""

    number: int
    condition: str
    index: int
    type: str
    data: bytes

    @property
    def facts(self) -> ItemFacts:
        """The item without its bytes."""
        return ItemFacts(self.number, self.condition, self.index, self.type, hashlib.sha256(self.data).hexdigest())


@dataclass(frozen=True)
class Rater:
    """Rater slot: one link, one pseudonym, one order of trials. ``consented`` and ``finished`` are times, or None."""

    slot: int
    pseudonym: str
    consented: str | None
    finished: str | None


@dataclass(frozen=True)
class Progress(Rater):
    """Progress of a rater slot: how many trials are done."""

    done: int
