"""Admin page of a study: who is how far, the links, the judgements as a file, and what they say so far."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, Template

from streaming_metrics.study.admin_results import results_so_far
from streaming_metrics.study.schema import StoreRefused
from streaming_metrics.study.web import HTTPException, Response, StreamingResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streaming_metrics.study.store import Store
    from streaming_metrics.study.web import Request

ROOM = "streaming_metrics.study"


class Admin:
    """Admin page over a store; who may see it is the server's to say.

    Args:
        store: of the study.
        total: the number of trials of a rater slot.
        url: that links begin with; that of the request where None.
    """

    def __init__(self, store: Store, total: Callable[[int], int], url: str | None = None) -> None:
        self._store, self._total, self._url = store, total, url
        # answers are only ever added, so their number says whether there is anything new to tell
        self._results = lru_cache(maxsize=1)(lambda _: results_so_far(store.judgements()))

    def page(self, request: Request) -> Response:
        """Return the page; it asks for itself again every 15 seconds."""
        raters = self._store.progress()
        judgements = sum(rater.done for rater in raters)
        page = _template().render(
            study=self._store.meta("study"),
            token=request.query_params["token"],
            raters=[(rater, self._total(rater.slot), link) for rater, link in zip(raters, self._links(request))],
            finished=sum(rater.finished is not None for rater in raters),
            judgements=judgements,
            results=self._results(judgements),
        )
        return Response(page, media_type="text/html")

    def file(self, request: Request) -> Response:
        """Return the page's style, or the judgements as JSON lines."""
        name = request.path_params["file"]
        if name == "admin.css":
            return Response(_text(name), media_type="text/css")
        if name != "judgements.jsonl":
            raise HTTPException(404)
        named = {"Content-Disposition": f'attachment; filename="{self._store.meta("study")}.jsonl"'}
        return StreamingResponse(self._lines(), media_type="application/jsonl", headers=named)

    def _lines(self) -> Iterator[str]:
        for judgement in self._store.judgements():
            yield json.dumps(asdict(judgement), allow_nan=False) + "\n"

    def _links(self, request: Request) -> list[str]:
        url = self._url or str(request.base_url).rstrip("/")
        try:
            return [f"{url}/r/{token}/" for token in self._store.tokens()]
        except StoreRefused:
            return ["its key is lost: as it was told at the start"] * len(self._store.progress())


@cache
def _template() -> Template:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_text("admin.html"))


def _text(name: str) -> str:
    return files(ROOM).joinpath(name).read_text("utf-8")
