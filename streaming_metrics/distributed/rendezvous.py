"""Rendezvous: waits at the store until every rank is here, and names those that are not.

A meeting has a number, and attempts at it. Each rank counts itself in; the last one writes the verdict "open", one
whose patience ends writes "closed", and the first to write prevails: so either all go in or none does, and one that
comes later, finding an attempt closed, makes a new one. The last to have read what all say clears the place: a store
that outlives its process group holds no verdict that the next group, which counts from 0 again, could take for its own.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN, CLOSED = "open", "closed"
GRACE = 5.0
"""Seconds that a store is given to answer, beyond those that it was asked to wait."""

rounds: Counter[str] = Counter()
"""Meetings that were held, by the name of the group: a clock that its ranks share."""

_held: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


class MissingRanks(RuntimeError):
    """Some ranks did not arrive at a collective call in time, or left it."""


@dataclass(frozen=True)
class Rendezvous:
    """The ranks of one group at one store.

    Args:
        store: of the process group.
        group: whose meetings are counted.
        name: of the group, the same on every rank.
        rank: this process.
        world_size: number of processes.
        timeout: seconds to wait for the others.
        call: what the ranks are to call, for errors.
    """

    store: Any
    group: Any
    name: str
    rank: int
    world_size: int
    timeout: float
    call: str = "compute()"

    def __call__(self, message: str = "") -> list[str]:
        """Wait until every rank has called this as often as this one, and return what each of them says.

        Raises:
            MissingRanks: on every rank that came, naming those that did not within ``timeout`` seconds. The call then
                does not count, so a later one, by all ranks, succeeds.
        """
        number = _held.setdefault(self.group, 0)
        missing: list[int] = []
        try:
            while not missing:
                missing, messages = _within(self.timeout + GRACE, lambda: self._meet(number, message))
                if messages:
                    _held[self.group] = number + 1
                    rounds[self.name] += 1
                    return messages
        except (RuntimeError, NoAnswer) as error:
            raise MissingRanks(_NO_STORE.format(self.call)) from error
        raise MissingRanks(_MISSING.format(missing, self.world_size, self.timeout, self.call))

    def _meet(self, number: int, message: str) -> tuple[list[int], list[str]]:
        """Return who is missing, or what all say; neither where the others gave up as this rank came in."""
        attempt = self._attempt(number)
        verdict, count, done, keys = self._names(number, attempt)
        self.store.set(keys[self.rank], message)
        if self.store.add(count, 1) == self.world_size:
            self.store.compare_set(verdict, "", OPEN)
        with suppress(RuntimeError):
            self.store.wait([verdict], timedelta(seconds=self.timeout))
        if self.store.compare_set(verdict, "", CLOSED).decode() == CLOSED:
            return [rank for rank, key in enumerate(keys) if not self.store.check([key])], []
        messages = [message.decode() for message in self.store.multi_get(keys)]
        if self.store.add(done, 1) == self.world_size:
            self._clear(number, attempt)
        return [], messages

    def _attempt(self, number: int) -> int:
        """Return the first attempt at a meeting that nobody has given up."""
        attempt = 0
        while self._verdict(number, attempt) == CLOSED:
            attempt += 1
        return attempt

    def _verdict(self, number: int, attempt: int) -> str:
        verdict = self._names(number, attempt)[0]
        return self.store.get(verdict).decode() if self.store.check([verdict]) else ""

    def _clear(self, number: int, held: int) -> None:
        """Delete a meeting that every rank has gone out of, with the attempts at it."""
        for attempt in range(held + 1):
            verdict, count, done, keys = self._names(number, attempt)
            for key in (verdict, count, done, *keys):
                self.store.delete_key(key)

    def _names(self, number: int, attempt: int) -> tuple[str, str, str, list[str]]:
        place = f"streaming_metrics/{self.name}/{number}/{attempt}"
        return (
            f"{place}/verdict",
            f"{place}/count",
            f"{place}/done",
            [f"{place}/{rank}" for rank in range(self.world_size)],
        )


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """Return ``ask()`` or raise NoAnswer: a store whose host is frozen does not even answer that time is up."""
    answer: Future[Any] = Future()

    def fulfil() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=fulfil, daemon=True).start()
    return answer.result(seconds)


_NO_STORE = (
    "{0} is collective, and the process group's store does not answer: rank 0 (or the launcher), which hosts it, "
    "is missing: it has died, left or frozen. Remedy: look for its error, then start again from the last checkpoint."
)
_MISSING = (
    "{3} is collective: every rank must call it. Ranks {0} of {1} did not within {2:g} s. The usual cause is {3} under "
    "`if rank == 0` or `rank_zero_only`, or a rank that died. Remedy: call {3} on every rank, and log its value on one."
)
