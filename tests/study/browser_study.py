"""A study of real pictures for a real browser: one trial of each kind, behind its server or exported to a folder."""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import uvicorn
from PIL import Image
from small_study import PLAN, _trial

from streaming_metrics.study.records import Item
from streaming_metrics.study.server import application
from streaming_metrics.study.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from streaming_metrics.study.trial import Trial

SIDES = (64, 64, 8, 256)
TRIALS = (
    _trial(0, "preference", (0, 3), ties=True, prompt="a photograph of a cat on a chair"),
    _trial(1, "opinion", (1,)),
    _trial(2, "alignment", (3,), prompt="two brown horses that graze beside a river, early morning", scale=7),
    _trial(3, "categorisation", (2,), truth=1.0, exposure_ms=100.0),
    _trial(4, "categorisation", (1,), truth=0.0, exposure_ms=50.0),
)


def picture(side: int, seed: int) -> bytes:
    """Return a PNG of soft colours."""
    from skimage.data import astronaut, chelsea, coffee, rocket

    photograph = (chelsea, coffee, rocket, astronaut)[seed % 4]()
    edge = min(photograph.shape[:2])
    square = Image.fromarray(np.ascontiguousarray(photograph[:edge, :edge, :3])).resize((side, side))
    square.save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def browser_store(folder: Path, raters: int = 3) -> Store:
    conditions = ("secret-r", "secret-a", "secret-r", "secret-b")
    store = Store.open(folder / "browser.sqlite")
    if store.begin(PLAN.study, PLAN.plan_digest, PLAN.to_json()):
        store.add_items(
            Item(n, condition, n, "image/png", picture(side, n))
            for n, (condition, side) in enumerate(zip(conditions, SIDES))
        )
    store.make_raters(raters)
    return store


@contextmanager
def serving(store: Store, order: Sequence[Trial] = TRIALS, port: int = 0) -> Iterator[str]:
    """Yield the address of the study's server, in a thread."""
    from streaming_metrics.study.guard import Hosts

    app = application(store, PLAN, Hosts.of("127.0.0.1"), order=lambda _: tuple(order))
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def folder_served(folder: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the address of a folder on a static host, and the bodies that are posted there."""
    posted: list[bytes] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

    host = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=host.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{host.server_port}", posted
    finally:
        host.shutdown()
        thread.join()
        host.server_close()
