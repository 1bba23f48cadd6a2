"""What does not belong is refused with what was expected: 4xx in JSON, never an error of ours, never kept."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_study import Served

from streaming_metrics.study.guard import SECURITY, Hosts
from streaming_metrics.study.limits import Limits, Rate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSON = {"content-type": "application/json"}
MANY = Rate(1e9, 10**9)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served.of(tmp_path_factory.mktemp("fuzz"), Limits(MANY, MANY, MANY)).consent()


def check_refused(served: Served, reply: Any, *statuses: int) -> None:
    assert reply.status_code in statuses or not statuses
    assert 400 <= reply.status_code < 500
    assert reply.headers["content-type"] == "application/json"
    error = reply.json()["error"]
    assert error.startswith("expected ")
    assert ", got " in error
    assert "Remedy: " in error
    assert error.isascii()
    assert len(error) < 400
    assert len(served.store.judgements()) == 0


BODIES = {
    "empty": b"",
    "no JSON": b"number=0&answer=1",
    "cut short": b'{"number": 0, "answer": ',
    "a list": b"[0, 1]",
    "a number": b"1",
    "null": b"null",
    "a text": b'"number"',
    "nothing in it": b"{}",
    "no answer": b'{"number": 0}',
    "no number": b'{"answer": 1}',
    "a key too many": b'{"number": 0, "answer": 1, "name": "Kim"}',
    "a key twice": b'{"number": 0, "answer": 0, "answer": 1}',
    "NaN": b'{"number": 0, "answer": NaN}',
    "Infinity": b'{"number": 0, "answer": 1, "reaction_ms": Infinity}',
    "1e999": b'{"number": 0, "answer": 1e999}',
    "a huge answer": b'{"number": 0, "answer": ' + b"9" * 5000 + b"}",
    "a huge number": b'{"number": ' + b"9" * 5000 + b', "answer": 1}',
    "a number beyond SQLite": b'{"number": 9223372036854775808, "answer": 1}',
    "number is text": b'{"number": "0", "answer": 1}',
    "number is a float": b'{"number": 0.0, "answer": 1}',
    "number is true": b'{"number": false, "answer": 1}',
    "number is null": b'{"number": null, "answer": 1}',
    "number is negative": b'{"number": -1, "answer": 1}',
    "number past the end": b'{"number": 4, "answer": 1}',
    "number ahead": b'{"number": 1, "answer": 1}',
    "answer is true": b'{"number": 0, "answer": true}',
    "answer is text": b'{"number": 0, "answer": "1"}',
    "answer is a list": b'{"number": 0, "answer": [1]}',
    "answer between": b'{"number": 0, "answer": 0.7}',
    "answer of another kind": b'{"number": 0, "answer": 3}',
    "negative answer": b'{"number": 0, "answer": -1}',
    "negative time": b'{"number": 0, "answer": 1, "reaction_ms": -0.1}',
    "a time of days": b'{"number": 0, "answer": 1, "shown_ms": 1e9}',
    "a time as text": b'{"number": 0, "answer": 1, "shown_ms": "100"}',
    "Latin-1": '{"number": 0, "answer": 1, "é": 1}'.encode("latin-1"),
    "UTF-16": '{"number": 0, "answer": 1}'.encode("utf-16"),
    "a mark of byte order": b'\xef\xbb\xbf{"number": 0, "answer": 1}',
    "half a character": b'{"number": 0, "answer": "\\ud800"}',
    "emoji for a key": '{"number": 0, "answer": 1, "😀": "한"}'.encode(),
    "half a character for a key": b'{"number": 0, "answer": 1, "\\ud800": 1}',
    "brackets within brackets": b"[" * 8000,
    "objects within objects": b'{"number":' * 700,
    "zero bytes": bytes(100),
    "spaces": b" " * 8192,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_answer(served: Served, body: bytes) -> None:
    check_refused(served, served.post("answers", content=body, headers=JSON))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
KEYS = st.sampled_from(["number", "answer", "reaction_ms", "shown_ms", "rater"])


def is_an_answer(found: Any) -> bool:
    """Whether trial 0 of the small study, or one before it, has such an answer: said anew, from the contract."""
    if not isinstance(found, dict) or not {"number", "answer"} <= found.keys():
        return False
    typed = type(found["number"]) is int and type(found["answer"]) in (int, float)
    return typed and found["number"] == 0 and found["answer"] in (0, 0.5, 1)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=ANY_JSON | st.dictionaries(KEYS, ANY_JSON | st.sampled_from([0, 1, 0.5, -1, 2**63]), max_size=5))
def test_any_json_that_is_no_answer(served: Served, found: Any) -> None:
    if not is_an_answer(found):
        check_refused(served, served.post("answers", content=json.dumps(found).encode(), headers=JSON))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_any_bytes(served: Served, body: bytes) -> None:
    check_refused(served, served.post("answers", content=body, headers=JSON), 400)


@pytest.mark.parametrize("length", [8193, 100_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_too_long(served: Served, length: int, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (b" " * 1000 for _ in range(length // 1000 + 1))

    body = pieces() if chunked else b" " * length
    check_refused(served, served.post("answers", content=body, headers=JSON), 413)


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "9" * 30, ""])
def test_a_length_that_is_none(served: Served, length: str) -> None:
    headers = {**JSON, "content-length": length.encode()}
    check_refused(served, served.post("answers", content=b"{}", headers=headers), 400, 413)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/json2"])
@pytest.mark.parametrize("path", ["answers", "consent"])
def test_another_type_of_content(served: Served, kind: str, path: str) -> None:
    check_refused(served, served.post(path, content=b"{}", headers={"content-type": kind}), 415)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_another_method(served: Served, method: str) -> None:
    reply = served.http.request(method, f"/r/{served.token}/answers", headers=JSON)
    assert (reply.status_code, reply.headers.get("allow")) in [(405, "POST"), (404, None)]
    if method != "HEAD":
        check_refused(served, reply)


PATHS = [
    "item/0/2",
    "item/4/0",
    "item/-1/0",
    "item/0/-1",
    "item/0.0/0",
    "item/0/0/0",
    "item/0",
    "item/" + "9" * 5000 + "/0",
    "item/٣/0",
    "item/%D9%A3/0",
    "item/0/%00",
    "item/%2e%2e/%2e%2e",
    "item/..%2f..%2fetc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%252e%252e%252fetc%252fpasswd",
    "%c0%ae%c0%ae/etc/passwd",
    "store.py",
    "page.js%00.png",
    "%F0%9F%98%80",
    "%ED%A0%80",
    "session/",
    "admin",
    "trials?from=-1",
    "trials?from=a",
    "trials?from=1e3",
    "trials?from=" + "9" * 5000,
    "trials?count=%00",
    "trials?count=",
    "trials?from=%ED%A0%80",
]


@pytest.mark.parametrize("path", PATHS, ids=[path[:30] for path in PATHS])
def test_an_address_that_is_none(served: Served, path: str) -> None:
    check_refused(served, served.get(path), 404)


UNKNOWN = [
    "/r/guess/session",
    "/r/%2e%2e/session",
    "/r/%00/session",
    "/r/%ED%A0%80/",
    "/admin",
    "/admin?token=",
    "/favicon.ico",
]


@pytest.mark.parametrize(
    "path", [*UNKNOWN, "/admin?token=%ED%A0%80", "/admin/judgements.jsonl?token=guess", "//", "/r", "/r/"]
)
def test_a_stranger(served: Served, path: str) -> None:
    check_refused(served, served.http.get("http://127.0.0.1:8000" + path), 404)


HOSTS = [
    "evil.example.com",
    "127.0.0.1.evil.com",
    "127.0.0.1@evil.com",
    "",
    "[::1",
    "192.168.0.7",
    "localhost.",
    "a" * 3000,
]


@pytest.mark.parametrize("host", HOSTS, ids=[host[:20] for host in HOSTS])
def test_another_host(served: Served, host: str) -> None:
    check_refused(served, served.get("session", headers={"host": host}), 421)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_hosts_of_this_machine(served: Served, host: str) -> None:
    assert served.get("session", headers={"host": host}).status_code == 200


ORIGINS = [
    "https://evil.example.com",
    "null",
    "http://127.0.0.1:9000",
    "http://127.0.0.1:8000.evil.com",
    "file://",
    "",
    "http://[",
]


@pytest.mark.parametrize(
    "headers",
    [*({"origin": origin} for origin in ORIGINS), {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
    ids=str,
)
def test_another_site_writes_nothing(served: Served, headers: dict[str, str]) -> None:
    send = partial(served.post, "answers", content=b'{"number": 0, "answer": 1}')
    check_refused(served, send(headers={**JSON, **headers}), 403)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"},
        {"origin": "null", "sec-fetch-site": "same-origin"},
    ],
    ids=str,
)
def test_our_own_page_writes(served: Served, headers: dict[str, str]) -> None:
    assert served.post("consent", content=b"{}", headers={**JSON, **headers}).status_code == 200


def test_a_public_url_is_a_host_and_an_origin(tmp_path: Path) -> None:
    served = Served.of(tmp_path, hosts=Hosts.of("127.0.0.1", "https://study.example.org"))
    for host in ("study.example.org", "127.0.0.1:8000"):  # as the proxy hands it on
        headers = {"host": host, "origin": "https://study.example.org"}
        assert served.post("consent", json={}, headers=headers).status_code == 200
    assert served.post("consent", json={}, headers={"origin": "https://evil.org"}).status_code == 403
    with pytest.raises(ValueError, match=r"public URL like .*, got 'study\.example\.org'.*Remedy"):
        Hosts.of("127.0.0.1", "study.example.org")


def test_every_answer_carries_the_headers(served: Served) -> None:
    paths = ["/", f"/r/{served.token}/session", f"/r/{served.token}/item/0/0", "/nothing", "/r/guess/"]
    for path in paths:
        headers = served.http.get("http://127.0.0.1:8000" + path).headers
        assert all(headers[name] == value for name, value in SECURITY.items())
        assert "set-cookie" not in headers
        assert headers["cache-control"].startswith("private" if "item" in path else "no-store")
