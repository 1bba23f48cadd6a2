"""Export of a study as one folder for any static host: the page, its images, and the trials of every rater slot.

Nothing in the folder tells the condition of an image, what is real, or which trials check attention: images are named
at random and have one date. Answers are joined to the plan when they come back
(:mod:`streaming_metrics.study.answers`).
"""

from __future__ import annotations

import json
import os
import secrets
from importlib.resources import files
from time import time
from typing import TYPE_CHECKING, Any

from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.study.order import trials

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.store import Store
    from streaming_metrics.study.trial import Trial

STUDY_SCRIPT = "study.js"
SCRIPT_TAG = '<script defer src="page.js"></script>'


def export(plan: StudyPlan, store: Store, folder: Path, raters: int, post_to: str | None = None) -> None:
    """Write a study into a folder that any static host can serve, or a browser open from a disk.

    Args:
        plan: with its images.
        store: with the items of the plan.
        folder: that is not there yet, or is empty.
        raters: how many orders of trials it holds; each rater gets one, by ``?slot=`` in the address or at random.
        post_to: http(s) URL that answers are posted to, as JSON in a body of text/plain, so that the browser need not
            ask that site first; they can be saved as a file as well.

    Raises:
        FileExistsError: where there is something in the folder.
        ValueError: where ``post_to`` is no such URL.
    """
    if post_to is not None and not post_to.startswith(("https://", "http://")):
        raise ValueError(f"post_to: expected a URL of http or https, got {post_to!r}. Remedy: https://….")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: expected an empty folder, got one with files. Remedy: another folder.")
    orders = [trials(plan, slot) for slot in range(raters)]
    names = {number: f"items/{secrets.token_hex(8)}.png" for number in _shown(orders)}
    (folder / "items").mkdir(parents=True, exist_ok=True)
    made = time()
    for number, name in sorted(names.items(), key=lambda one: one[1]):  # in no order of theirs
        item = store.item(number)
        assert item is not None
        _write(folder / name, item.data)
        os.utime(folder / name, (made, made))  # a host tells each file's date: by it conditions could be told apart
    page = files("streaming_metrics.study").joinpath("page")
    for name in ("page.css", "page.js", "icon.svg"):
        _write(folder / name, page.joinpath(name).read_bytes())
    words = json.loads(page.joinpath("words.json").read_text("utf-8"))
    facts = _facts(plan, orders, names) | {"post_to": post_to, "words": words}
    _write(folder / STUDY_SCRIPT, f"window.STUDY = {json.dumps(facts)};\n".encode())
    index = page.joinpath("index.html").read_text("utf-8")
    # Last: a folder with an index is whole. A script, since from a disk a browser may not fetch a file of JSON.
    _write(
        folder / "index.html",
        index.replace(SCRIPT_TAG, f'<script defer src="{STUDY_SCRIPT}"></script>\n{SCRIPT_TAG}').encode(),
    )


def _shown(orders: Iterable[Iterable[Trial]]) -> list[int]:
    return sorted({number for order in orders for trial in order for number in trial.items})


def _facts(plan: StudyPlan, orders: Iterable[Iterable[Trial]], names: Mapping[int, str]) -> dict[str, Any]:
    return {
        "study": plan.study,
        "languages": list(plan.languages),
        "consent": dict(plan.consent),
        "questions": {task.name: dict(task.question) for task in plan.tasks},
        "orders": [[_told(trial, names) for trial in order] for order in orders],
    }


def _told(trial: Trial, names: Mapping[int, str]) -> dict[str, Any]:
    return {
        "number": trial.number,
        "kind": trial.kind,
        "task": trial.task,
        "items": [names[number] for number in trial.items],
        "prompt": trial.prompt,
        "scale": trial.scale,
        "ties": trial.ties,
        "exposure_ms": trial.exposure_ms,
    }


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
