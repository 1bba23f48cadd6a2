"""A real server in a process of its own: killed, misused, and what it says; over loopback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import httpx
import pytest
import uvicorn

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import study_load
from harness.scripted_raters import Serving, end, rate_and_kill
from serve_small import LONG
from small_study import PLAN, small_store

from streaming_metrics.study.serving import serve
from streaming_metrics.study.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
RATERS = 6
JSON = "Content-Type: application/json\r\n"


def serving_small(folder: Path, errors: IO[str] | None = None) -> Serving:
    return Serving([sys.executable, str(HERE / "serve_small.py"), str(folder), str(RATERS)], errors)


def test_a_killed_server_loses_no_acknowledged_answer_and_keeps_none_twice(tmp_path: Path) -> None:
    serving = serving_small(tmp_path)
    end(serving.start())
    links = serving.links
    ledger = asyncio.run(rate_and_kill(links, serving.start, kills=2, each=len(LONG)))
    assert serving.links == links
    assert len(ledger.acknowledged) == RATERS * len(LONG)
    assert len(ledger.away) == 2
    with Store.open(tmp_path / "small.sqlite") as store:
        assert study_load.missing(store, links, ledger) == (0, 0)
        assert all(progress.finished for progress in store.progress())
        assert len(store.judgements()) == RATERS * len(LONG)


def test_two_devices_at_one_link_answer_each_trial_once(tmp_path: Path) -> None:
    serving = serving_small(tmp_path)
    end(serving.start())
    link = serving.links[0]
    asyncio.run(rate_and_kill([link, link], serving.start, kills=0, each=len(LONG)))
    with Store.open(tmp_path / "small.sqlite") as store:
        assert [judgement.trial for judgement in store.judgements()] == list(range(len(LONG)))
        assert store.progress()[0].finished


@pytest.mark.slow
def test_fifty_raters_at_once_and_two_kills(tmp_path: Path) -> None:
    found = study_load.run(tmp_path / "study", raters=50, each=20, kills=2)
    assert (found["acknowledged"], found["finished raters"]) == (1000, 50)
    assert (found["lost"], found["twice"]) == (0, 0)


class Running:
    """A server that runs, and raw connections to it."""

    def __init__(self, folder: Path, errors: IO[str]) -> None:
        self.folder, self.errors = folder, errors
        self.serving = serving_small(folder, errors)
        self.server = self.serving.start()
        self.link = self.serving.links[0]
        self.port = int(self.link.split("/")[2].rpartition(":")[2])
        self.path = "/" + self.link.split("/", 3)[3]
        httpx.post(self.link + "consent", json={}, trust_env=False).raise_for_status()

    def send(self, text: bytes) -> bytes:
        """Return all that is answered to some bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(text)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def request(self, head: str, body: bytes = b"") -> bytes:
        lines = f"POST {self.path}answers HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}{head}\r\n"
        return self.send(lines.encode("latin-1") + body)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("running")
    with (folder / "errors.txt").open("w+") as errors:
        found = Running(folder, errors)
        yield found
        end(found.server)


ANSWER = b'{"number": 0, "answer": 9}'
CHUNKS = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b" " * 5000, b" " * 5000)) + b"0\r\n\r\n"
MISUSES: dict[str, tuple[str, bytes, int]] = {
    "a part of what its length says": ("Content-Length: 100\r\nConnection: close\r\n", ANSWER, 408),
    "chunks beyond the limit, without a length": ("Transfer-Encoding: chunked\r\nConnection: close\r\n", CHUNKS, 413),
    "a length beyond the limit, before any body": ("Content-Length: 999999999\r\nConnection: close\r\n", b"", 413),
    "a length of no sense": ("Content-Length: x\r\nConnection: close\r\n", ANSWER, 400),
    "chunks of no sense": ("Transfer-Encoding: chunked\r\nConnection: close\r\n", b"zz\r\n", 400),
    "headers beyond the limit": ("Connection: close\r\nX: " + "x" * 70_000 + "\r\n", b"", 400),
    "two lengths": ("Content-Length: 26\r\nContent-Length: 27\r\nConnection: close\r\n", ANSWER, 400),
    "an answer out of range": ("Content-Length: 26\r\nConnection: close\r\n", ANSWER, 422),
}


@pytest.mark.parametrize(("head", "body", "status"), MISUSES.values(), ids=MISUSES)
def test_a_misuse_on_the_wire(running: Running, head: str, body: bytes, status: int) -> None:
    answered = running.request(head, body)
    assert answered.startswith(b"HTTP/1.1 %d " % status)
    assert b"Traceback" not in answered


def test_what_is_no_http_at_all(running: Running) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600) + b"\r\n\r\n"  # of TLS
    assert running.send(hello).startswith(b"HTTP/1.1 400 ")
    httpx.get(running.link + "session", trust_env=False).raise_for_status()


def test_a_rater_who_leaves_in_the_middle(running: Running) -> None:
    for cut in (20, 120, 180):
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(f"POST {running.path}answers HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}".encode()[:cut])
    httpx.get(running.link + "session", trust_env=False).raise_for_status()


def test_nothing_of_who_asked_is_logged_or_kept(running: Running) -> None:
    agent = {"user-agent": "SecretAgent/7", "x-forwarded-for": "198.51.100.7"}
    httpx.get(running.link + "session", headers=agent, trust_env=False).raise_for_status()
    httpx.post(running.link + "answers", json={"number": 0, "answer": 1}, headers=agent, trust_env=False)
    running.errors.seek(0)
    told = running.errors.read()
    kept = b"".join(file.read_bytes() for file in running.folder.glob("small.sqlite*"))
    for trace in ("127.0.0.1", "SecretAgent", "198.51.100.7", running.link.split("/")[-2]):
        assert trace not in told
        assert trace.encode() not in kept
    assert "Traceback" not in told


def test_the_server_starts_again_without_pytorch_and_ends_quietly_at_ctrl_c(tmp_path: Path) -> None:
    plan = study_load.write_study(tmp_path / "study", raters=2, each=2)
    command = [sys.executable, "-X", "importtime", "-m", "streaming_metrics", "study", "serve", str(plan), "--port"]
    with (tmp_path / "imports.txt").open("w+") as imports:
        serving = Serving(command, imports)
        end(serving.start())
        packed = imports.seek(0, os.SEEK_END)
        with serving.start() as server:
            server.send_signal(signal.SIGINT)
            assert server.wait() == 130
        imports.seek(0)
        first, second = imports.read(packed), imports.read()
    assert "Traceback" not in second
    assert not plan.with_name("load.sqlite-wal").exists(), "all is in one file again"
    assert "| torch\n" in first
    imported = {line.rpartition("|")[2].strip() for line in second.splitlines()}
    assert "uvicorn" in imported
    assert not imported & {"torch", "lightning", "torchmetrics", "scipy", "PIL"}


@pytest.mark.parametrize("early", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_between_the_links_and_the_first_request_ends_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: signal.Signals
) -> None:
    """Wherever it comes: while links are told, or where the loop is made, which half made would leave a traceback."""
    made: list[asyncio.BaseEventLoop] = []
    init = asyncio.BaseEventLoop.__init__

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def interrupted(loop: asyncio.BaseEventLoop) -> None:
        signal.raise_signal(early)
        init(loop)
        made.append(loop)

    before = signal.signal(early, interrupt)
    try:
        with small_store(tmp_path) as store:
            for said in (lambda _: signal.raise_signal(early), lambda _: None):
                with pytest.raises(KeyboardInterrupt):
                    serve(store, PLAN, port=0, say=said)
                monkeypatch.setattr(asyncio.BaseEventLoop, "__init__", interrupted)
    finally:
        signal.signal(early, before)
    assert made[0].is_closed()


@pytest.mark.parametrize(
    ("host", "is_safe"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)]
)
def test_what_is_said_and_the_warning_where_others_can_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, is_safe: bool
) -> None:
    said: list[str] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda _, sockets: said.append(str(sockets[0].getsockname()[0])))
    with small_store(tmp_path) as store:
        serve(store, PLAN, host, port=0, say=said.append)
        first = [line for line in said if line.startswith(("rater", "admin"))]
        serve(store, PLAN, host, port=0, say=said.append)
    assert [line.split(":")[0] for line in first] == ["rater 1", "rater 2", "admin page"]
    assert "/admin?token=" in first[-1]
    assert "--new-admin-link" in said[-2 if is_safe else -3]
    assert any(line.startswith("warning: bound to 0.0.0.0") for line in said) == (not is_safe)
    assert said[-1] in {"127.0.0.1", "::1", "0.0.0.0"}


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with small_store(tmp_path) as store, socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"expected a free port {port} at 127\.0\.0\.1, got: .*Remedy"):
            serve(store, PLAN, port=port)


def test_links_begin_with_the_public_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    with small_store(tmp_path) as store:
        serve(store, PLAN, port=0, public_url="https://study.example.org/judge/", say=said.append)
        assert said[0] == f"rater 1: https://study.example.org/judge/r/{store.tokens()[0]}/"


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import streaming_metrics.study.serving"
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: serving a study: expected Starlette and uvicorn" in failed.stderr
    assert "pip install 'streaming-metrics[study]'" in failed.stderr
