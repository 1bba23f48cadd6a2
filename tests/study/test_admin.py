"""The admin page: seen with its token alone, plain HTML that a strict policy lets through, and all that was judged."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from small_study import STUDY, TRIALS, Served

from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.study.admin_results import results_so_far
from streaming_metrics.study.guard import Hosts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served.of(tmp_path)


def admin(served: Served, path: str = "/admin") -> str:
    token = served.store.new_admin_token()
    reply = served.http.get(f"{path}?token={token}")
    assert reply.status_code == 200
    return reply.text


def test_links_and_progress(served: Served) -> None:
    served.consent()
    for number in range(4):
        served.answer(number)
    page = admin(served)
    for token in served.store.tokens():
        assert f"http://127.0.0.1:8000/r/{token}/" in page
    assert "4 answers, attention checks among them; 1 of 2 raters are done" in page
    assert "4 / 4" in page
    assert "0 / 4" in page
    assert STUDY in page


def test_links_begin_with_the_public_url(tmp_path: Path) -> None:
    served = Served.of(tmp_path, hosts=Hosts.of("127.0.0.1", "https://study.example.org/judge/"))
    assert f"https://study.example.org/judge/r/{served.token}/" in admin(served)


def test_lost_keys_cost_the_links_alone(served: Served) -> None:
    served.store.path.with_name("small.sqlite.key").unlink()
    page = admin(served)
    assert "its key is lost" in page
    assert "0 / 4" in page


def test_nothing_in_the_page_needs_a_looser_policy(served: Served) -> None:
    page = admin(served)
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:|https?://(?!127\.0\.0\.1:8000/r/)", page)


def test_what_is_named_by_others_is_escaped(served: Served) -> None:
    served.store.note("study", "<script>alert(1)</script>")
    assert "<script>" not in admin(served)


def test_judgements_are_downloaded_as_they_are_kept(served: Served, tmp_path: Path) -> None:
    served.consent()
    for number in range(4):
        served.answer(number, reaction_ms=812.5)
    file = tmp_path / "judgements.jsonl"
    file.write_text(admin(served, "/admin/judgements.jsonl"))
    assert Judgements.read(file) == served.store.judgements()
    assert len(file.read_text().splitlines()) == 4
    assert json.loads(file.read_text().splitlines()[0])["reaction_ms"] == 812.5


def test_the_page_s_style_and_nothing_else_is_served(served: Served) -> None:
    assert "--paper" in admin(served, "/admin/admin.css")
    token = served.store.new_admin_token()
    for name in ("admin.html", "store.py", "small.sqlite", "..%2fstore.py"):
        assert served.http.get(f"/admin/{name}?token={token}").status_code == 404


def test_a_new_token_ends_the_old_one(served: Served) -> None:
    old = served.store.new_admin_token()
    new = served.store.new_admin_token()
    assert [served.http.get(f"/admin?token={token}").status_code for token in (old, new)] == [404, 200]


def test_a_rater_s_token_opens_no_admin_page(served: Served) -> None:
    assert served.http.get(f"/admin?token={served.token}").status_code == 404
    assert served.http.get(f"/r/{served.store.new_admin_token()}/session").status_code == 404


def test_results_so_far_are_those_of_the_judgements_without_checks(served: Served) -> None:
    assert "Nothing was judged yet" in admin(served)
    served.consent()
    for number in range(4):
        served.answer(number)
    assert TRIALS[0].expected is not None  # so the preference is a check
    lines = results_so_far(served.store.judgements())
    found = {(line.task, line.condition, line.what): line.estimate.value for line in lines}
    assert found == {("opinion", "secret-a", "mean score"): 4.0, ("alignment", "secret-b", "mean score"): 7.0}
    page = admin(served)
    assert "4.000" in page
    assert "–" in page
