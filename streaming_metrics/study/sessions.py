"""Sessions of raters: what the page of one link is told and shown, and what is kept of its answers."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from streaming_metrics.study.judging import judgement_of
from streaming_metrics.study.replies import Refusal, natural, reply, shown
from streaming_metrics.study.store import now
from streaming_metrics.study.submitted import check_allowed, submitted
from streaming_metrics.study.web import HTTPException, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.records import Rater
    from streaming_metrics.study.store import Store
    from streaming_metrics.study.submitted import Submitted
    from streaming_metrics.study.trial import Trial
    from streaming_metrics.study.web import Request

TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "json": "application/json",
    "svg": "image/svg+xml",
}
MOST_TRIALS = 50
"""Trials that one request is told of, at most."""
ORDERS = 256
"""Slots whose trials are kept in memory; those of others are dealt again."""


class Sessions:
    """Sessions: the handlers of a rater's requests.

    Args:
        store: of the study, with its items in it.
        plan: of the study.
        order: the trials of a slot, numbered 0, 1, 2, ….
    """

    def __init__(self, store: Store, plan: StudyPlan, order: Callable[[int], Sequence[Trial]]) -> None:
        self._store, self._plan = store, plan
        self._study = plan.study
        self._questions = {task.name: task.question for task in plan.tasks}
        self._page = _page_files()
        self.trials = lru_cache(maxsize=ORDERS)(order)

    def index(self, rater: Rater, request: Request) -> Response:  # noqa: ARG002
        """Return the page."""
        return self._page_file("index.html")

    def file(self, rater: Rater, request: Request) -> Response:  # noqa: ARG002
        """Return a file of the page."""
        return self._page_file(request.path_params["file"])

    def _page_file(self, name: str) -> Response:
        if name not in self._page:
            raise HTTPException(404)
        content, kind = self._page[name]
        return Response(content, media_type=kind, headers={"Cache-Control": "private, no-cache"})

    def session(self, rater: Rater, request: Request) -> Response:  # noqa: ARG002
        """Return what the study is, and how far the rater is."""
        total, done = len(self.trials(rater.slot)), self._store.done(rater.slot)
        if done == total and rater.finished is None:
            self._store.finish(rater.slot)  # the server ended between the last answer and this note
        return reply(
            {
                "study": self._study,
                "languages": list(self._plan.languages),
                "consent": dict(self._plan.consent),
                "consented": rater.consented is not None,
                "total": total,
                "done": done,
            }
        )

    def consent(self, rater: Rater, request: Request) -> Response:  # noqa: ARG002
        """Keep that the rater consented, and when; nothing else."""
        self._store.consent(rater.slot)
        return reply({"consented": True})

    def some_trials(self, rater: Rater, request: Request) -> Response:
        """Return trials ``from``, ``from`` + 1, …, at most ``count`` of them."""
        first, count = (_number(request.query_params.get(name, some), name) for name, some in DEFAULTS.items())
        some = self.trials(rater.slot)[first : first + min(count, MOST_TRIALS)]
        return reply([self._told(trial) for trial in some])

    def _told(self, trial: Trial) -> dict[str, Any]:
        return {
            "number": trial.number,
            "kind": trial.kind,
            "task": trial.task,
            "items": [f"item/{trial.number}/{place}" for place in range(len(trial.items))],
            "prompt": trial.prompt,
            "question": dict(self._questions[trial.task]),
            "scale": trial.scale,
            "ties": trial.ties,
            "exposure_ms": trial.exposure_ms,
        }

    def item(self, rater: Rater, request: Request) -> Response:
        """Return an image of a trial."""
        number, place = (_number(request.path_params[name], name) for name in ("trial", "place"))
        items = self._trial(rater, number).items
        item = self._store.item(items[place]) if place < len(items) else None
        if item is None:
            raise Refusal(404, f"place: 0 to {len(items) - 1}", str(place), "ask for what the trial names.")
        return Response(item.data, media_type=item.type, headers={"Cache-Control": "private, max-age=3600"})

    def _trial(self, rater: Rater, number: int) -> Trial:
        ordered = self.trials(rater.slot)
        if number >= len(ordered):
            raise Refusal(404, f"a trial from 0 to {len(ordered) - 1}", str(number), "ask for one of these.")
        return ordered[number]

    def answer(self, rater: Rater, request: Request) -> Response:
        """Keep an answer, and acknowledge it once it is on the disk; of a trial answered before the first stays."""
        given = submitted(request.state.body)
        trial = self._trial(rater, given.number)
        check_allowed(given, trial)
        self._check_turn(rater, given)
        judged = judgement_of(trial, given, study=self._study, rater=rater.pseudonym, when=now())
        self._store.answer(rater.slot, judged)
        done = self._store.done(rater.slot)
        if done == len(self.trials(rater.slot)):
            self._store.finish(rater.slot)
        return reply({"saved": given.number, "done": done})

    def _check_turn(self, rater: Rater, given: Submitted) -> None:
        if rater.consented is None:
            raise Refusal(403, "consent before the first answer", "none", "post to consent first.")
        if given.number > (done := self._store.done(rater.slot)):
            raise Refusal(409, f"the answer to trial {done}", f"that to {given.number}", "send answers in order.")


DEFAULTS = {"from": "0", "count": str(MOST_TRIALS)}


def _number(text: str, name: str) -> int:
    if (number := natural(text)) is None:
        raise Refusal(404, f"{name}: a number from 0", shown(text), "ask for what the trial names.")
    return number


def _page_files() -> dict[str, tuple[bytes, str]]:
    """Return the page's files by name, read once: what is not among these names is not served."""
    there = files("streaming_metrics.study").joinpath("page").iterdir()
    kinds = {file: TYPES.get(file.name.rpartition(".")[2]) for file in there}
    return {file.name: (file.read_bytes(), kind) for file, kind in kinds.items() if kind}
