"""A study of four trials, one of each kind, and its server in this process: for tests of what raters may send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from streaming_metrics.study.plan_file import parse
from streaming_metrics.study.records import Item
from streaming_metrics.study.server import application
from streaming_metrics.study.store import Store
from streaming_metrics.study.trial import Trial

if TYPE_CHECKING:
    from pathlib import Path

    from streaming_metrics.study.guard import Hosts
    from streaming_metrics.study.limits import Limits

HOST = "http://127.0.0.1:8000"
CONDITIONS = ("secret-r", "secret-a", "secret-r", "secret-b")
ITEMS = [Item(n, condition, n, "image/png", b"png %d" % n) for n, condition in enumerate(CONDITIONS)]
PLAN = parse("""
name = "small"
languages = ["en", "ko"]
[conditions]
secret-r = "r/"
secret-a = "a/"
secret-b = "b/"
[[task]]
kind = "preference"
[[task]]
kind = "opinion"
[[task]]
kind = "categorisation"
real = "secret-r"
[[task]]
kind = "opinion"
name = "alignment"
""")
STUDY = PLAN.study


def _trial(number: int, kind: str, items: tuple[int, ...], **more: Any) -> Trial:
    ids, conditions = zip(*((f"{ITEMS[n].condition}/{n}", ITEMS[n].condition) for n in items))
    return Trial(number, kind, kind, items, ids, conditions, **more)


TRIALS = (
    _trial(0, "preference", (0, 3), ties=True, expected=1.0),
    _trial(1, "opinion", (1,)),
    _trial(2, "categorisation", (2,), truth=1.0, exposure_ms=100.0),
    _trial(3, "alignment", (3,), prompt="a horse", category="Animals", challenge="Simple Detail", scale=7),
)
"""One trial of each kind, where a plan's order would be longer than a test needs."""
ANSWERS = (1.0, 4.0, 0.0, 7.0)


def small_store(folder: Path, raters: int = 2) -> Store:
    store = Store.open(folder / "small.sqlite")
    if store.begin(STUDY, PLAN.plan_digest, PLAN.to_json()):
        store.add_items(ITEMS)
    store.make_raters(raters)
    return store


@dataclass
class Served:
    """The small study behind its server, and one rater's client of it."""

    store: Store
    http: TestClient
    token: str

    @classmethod
    def of(cls, folder: Path, limits: Limits | None = None, hosts: Hosts | None = None) -> Served:
        store = small_store(folder)
        app = application(store, PLAN, hosts, limits, order=lambda _: TRIALS)
        http = TestClient(app, HOST, raise_server_exceptions=False, follow_redirects=False)
        return cls(store, http, store.tokens()[0])

    def get(self, path: str, **options: Any) -> Any:
        return self.http.get(f"/r/{self.token}/{path}", **options)

    def post(self, path: str, **options: Any) -> Any:
        return self.http.post(f"/r/{self.token}/{path}", **options)

    def consent(self) -> Served:
        assert self.post("consent", json={}).status_code == 200
        return self

    def answer(self, number: int, answer: float | None = None, **times: float) -> Any:
        given = ANSWERS[number] if answer is None else answer
        return self.post("answers", json={"number": number, "answer": given, **times})
