"""Identity: tells a metric from others of equal measures, and lets ranks compute together only what is one metric.

Ranks that ran the same lines made the same metrics. So a metric is named by the user's lines that made it, and its
number among those that they made since the ranks last met: what went wrong on one rank then matters no longer.
"""

from __future__ import annotations

import gc
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from streaming_metrics.distributed.rendezvous import rounds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streaming_metrics.distributed.comm import Comm

HOUSE = __name__.partition(".")[0]
INSTALLED = ("<frozen", *(get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))
LINES_SHOWN = 2


class Kind(NamedTuple):
    """What metrics that could be taken for each other have in common."""

    configuration: str
    group: str


class Identity:
    """Which of several metrics of one kind this is; a deepcopy is another one, a pickle the same.

    Args:
        configuration: measures and extractor.
        group: name of the process group.
        name: that the user gave it; by default it is named by the user's lines on the stack.

    Example:
        >>> raw, average = Identity("fid", "world", "raw"), Identity("fid", "world", "ema")
        >>> raw.which, average.which, average.made
        ('raw', 'ema', 2)
    """

    def __init__(self, configuration: str, group: str, name: str | None = None) -> None:
        self.kind = Kind(configuration, group)
        if name is None:
            self._number(f"made at {_lines_of_the_user()}")
        else:
            self.origin, self.number = name, ""
        self._enlist()

    @property
    def which(self) -> str:
        """What ranks compare."""
        return f"{self.origin}{self.number}"

    @property
    def made(self) -> int:
        """How many of this kind this process has made, copied or unpickled."""
        return _made[self.kind]

    @property
    def has_failed(self) -> bool:
        """Whether this rank failed at one of this kind since the ranks last computed one together."""
        return self.kind in _failed

    def is_alone(self) -> bool:
        """Return whether it is the only one of its kind that still exists; slow."""
        gc.collect()
        return len(_existing[self.kind]) == 1

    @contextmanager
    def noting_failures(self) -> Iterator[None]:
        """Remember what fails here: this rank may then try again, with a metric that others do not make."""
        try:
            yield
        except BaseException:
            _failed.add(self.kind)
            raise

    def settle(self) -> None:
        """Forget failures: the ranks have met over one metric."""
        _failed.discard(self.kind)

    def _number(self, origin: str) -> None:
        key = self.kind, origin, rounds[self.kind.group]
        self.origin, self.number = origin, f", number {_numbers[key]} after meeting {key[-1]}"
        _numbers[key] += 1

    def _enlist(self) -> None:
        _made[self.kind] += 1
        _existing[self.kind].add(self)

    def __deepcopy__(self, memo: Any) -> Identity:
        twin = object.__new__(type(self))
        twin.kind = self.kind
        twin._number(f"copy of {self.which}")
        twin._enlist()
        return twin

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._enlist()


_made: Counter[Kind] = Counter()
_numbers: Counter[tuple[Kind, str, int]] = Counter()
_existing: defaultdict[Kind, WeakSet[Identity]] = defaultdict(WeakSet)
_failed: set[Kind] = set()


def meet(comm: Comm, call: str, told: Mapping[str, Any], identity: Identity) -> list[dict[str, Any]]:
    """Return what every rank tells, once all are here about the same metric; collective, one exchange.

    Args:
        comm: the ranks.
        call: what is called, e.g. ``"compute()"``.
        told: of this rank: ``measures``, ``extractor`` and ``real side``, which must be the same, and whatever else.
        identity: of the metric.

    Raises:
        MissingRanks: where not every rank came.
        RuntimeError: on every rank, where they are not about the same metric.
    """
    of_metric = {"origin": identity.origin, "metric": identity.which, "made": identity.made}
    mine = {"call": call, "failed": identity.has_failed, **of_metric, **told}
    with identity.noting_failures():
        said = [_read(text) for text in comm.rendezvous(json.dumps(mine), call)]
    for what, remedy in REMEDIES.items():
        _refuse_different(call, said, what, remedy)
    if any(one["made"] > 1 for one in said) and not _is_another_try(comm, call, said, identity):
        _refuse_different(call, said, "metric", _NAMES)
    identity.settle()
    return said


def configuration_of(name: str, measures: Sequence[str]) -> str:
    """Return a metric's class and measures in words, without the addresses of objects, which differ between ranks.

    Example:
        >>> configuration_of("GenerativeMetrics", ["fid", "kid(kernel=<function k at 0x7f3a>)"])
        'GenerativeMetrics(fid, kid(kernel=<function k>))'
    """
    return re.sub(r" at 0x[0-9a-fA-F]+", "", f"{name}({', '.join(measures)})")


def named_ranks(ranks: Sequence[int]) -> str:
    """Return ranks as an error names them.

    Example:
        >>> named_ranks([0]), named_ranks([1, 2])
        ('rank 0', 'ranks 1, 2')
    """
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"


def _is_another_try(comm: Comm, call: str, said: Sequence[Mapping[str, Any]], identity: Identity) -> bool:
    """Return whether metrics of one origin differ in number alone because a rank failed, and made one more: then each
    is the only one that still exists.
    """
    if len({one["metric"] for one in said}) == 1 or len({one["origin"] for one in said}) > 1:
        return False
    return any(one["failed"] for one in said) and set(comm.rendezvous(str(identity.is_alone()), call)) == {"True"}


def _read(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    return said if isinstance(said, dict) and "call" in said else {"call": "something else"}


def _refuse_different(call: str, said: Sequence[Mapping[str, Any]], what: str, remedy: str) -> None:
    ranks: dict[str, list[int]] = {}
    for rank, one in enumerate(said):
        ranks.setdefault(str(one.get(what)), []).append(rank)
    if len(ranks) > 1:
        got = "; ".join(f"{value} on {named_ranks(at)}" for value, at in ranks.items())
        raise RuntimeError(
            f"{call}: The ranks do not compute the same metric: expected the same {what} on all, got {got}. "
            f"Remedy: {remedy}"
        )


def _lines_of_the_user() -> str:
    """Return where on the stack the user's own lines are: the innermost ones to be read, all of them as a digest.

    Installed packages are left out: one rank may be launched by other lines of theirs than the others.
    """
    lines, frame = [], sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if frame.f_globals.get("__name__", "").partition(".")[0] != HOUSE and not file.startswith(INSTALLED):
            lines.append(f"{Path(file).name}:{frame.f_lineno}")
        frame = frame.f_back
    digest = hashlib.sha256(" ".join(lines).encode()).hexdigest()[:8]
    return f"{' from '.join(lines[:LINES_SHOWN])} ({digest})"


_ORDER = "call the same methods of the same metrics in the same order on every rank, never under `if rank == 0`"
_NAMES = f"{_ORDER}; where these are one metric, give it the same name= on every rank."
REMEDIES = {
    "call": f"{_ORDER}.",
    "measures": f"build the metric of equal measures on every rank; {_ORDER}.",
    "extractor": f"build the metric of one extractor and the same weights on every rank; {_ORDER}.",
    "bind_limit": "give one bind_limit= on every rank.",
    "real side": "freeze_real() on every rank, or reference= of one file; copies of a file that differ are two.",
}
