"""The server's answers to raters: one session from consent to the end, by one link and by two devices."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest
from small_study import ANSWERS, HOST, ITEMS, STUDY, TRIALS, Served

import streaming_metrics.study
from streaming_metrics.study.limits import Limits, Rate


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served.of(tmp_path)


def test_a_session_from_consent_to_the_end(served: Served) -> None:
    asked = served.get("session").json()
    assert (asked["study"], asked["languages"], asked["consented"]) == (STUDY, ["en", "ko"], False)
    assert (asked["total"], asked["done"]) == (4, 0)
    assert "언제든지" in asked["consent"]["ko"]
    served.consent()
    for trial in served.get("trials?from=0&count=4").json():
        images = [served.get(item) for item in trial["items"]]
        assert [image.content for image in images] == [ITEMS[n].data for n in TRIALS[trial["number"]].items]
        assert {image.headers["content-type"] for image in images} == {"image/png"}
        reply = served.answer(trial["number"], reaction_ms=812.25)
        assert reply.json() == {"saved": trial["number"], "done": trial["number"] + 1}
    assert served.get("session").json()["done"] == 4
    assert served.store.progress()[0].finished


def test_what_is_kept_is_what_was_shown_and_answered(served: Served) -> None:
    served.consent()
    for number in range(4):
        served.answer(number, reaction_ms=800, shown_ms=100.5)
    judged = list(served.store.judgements())
    pseudonym = served.store.progress()[0].pseudonym
    assert [judgement.answer for judgement in judged] == list(ANSWERS)
    assert {(j.study, j.rater, j.reaction_ms, j.shown_ms) for j in judged} == {(STUDY, pseudonym, 800.0, 100.5)}
    assert judged[0].items == ("secret-r/0", "secret-b/3")
    assert [j.conditions for j in judged] == [trial.conditions for trial in TRIALS]
    assert (judged[0].expected, judged[2].truth, judged[2].exposure_ms) == (1.0, 1.0, 100.0)
    assert (judged[3].prompt, judged[3].category, judged[3].challenge) == ("a horse", "Animals", "Simple Detail")
    assert judged[3].scale == 7


def test_a_page_is_told_nothing_of_conditions_truth_or_checks(served: Served) -> None:
    told = served.get("trials").json()
    names = {"number", "kind", "task", "items", "prompt", "question", "scale", "ties", "exposure_ms"}
    assert all(trial.keys() == names for trial in told)
    assert told[0]["items"] == ["item/0/0", "item/0/1"]
    all_told = json.dumps([told, served.get("session").json()]) + str(served.get("item/0/0").headers)
    assert not any(secret in all_told for secret in ("secret", "Animals", "truth", "expected", ITEMS[0].facts.sha256))


def test_trials_come_in_parts(served: Served) -> None:
    numbers = [
        [t["number"] for t in served.get(f"trials?from={k}&count={n}").json()] for k, n in [(0, 2), (3, 9), (4, 1)]
    ]
    assert numbers == [[0, 1], [3], []]


def test_a_break_and_a_second_device_go_on_where_the_first_was(served: Served) -> None:
    served.consent()
    assert served.answer(0).json() == {"saved": 0, "done": 1}
    assert served.answer(1).json() == {"saved": 1, "done": 2}
    late = served.answer(0, 0.0)  # the other device, which still shows trial 0
    assert (late.status_code, late.json()) == (200, {"saved": 0, "done": 2})
    assert [judgement.answer for judgement in served.store.judgements()] == list(ANSWERS[:2])


def test_an_end_that_a_kill_cut_short_is_noted_when_the_link_is_opened_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.consent()
    with monkeypatch.context() as killed:
        killed.setattr(type(served.store), "finish", lambda *_: None)
        for number in range(4):
            served.answer(number)
    assert not served.store.progress()[0].finished
    served.get("session")
    assert served.store.progress()[0].finished


def test_a_study_that_is_done_still_acknowledges(served: Served) -> None:
    served.consent()
    for number in [*range(4), 3]:
        assert served.answer(number).json()["done"] == min(number + 1, 4)
    first = served.store.progress()[0].finished
    served.answer(2)
    assert served.store.progress()[0].finished == first


def test_no_answer_without_consent_and_none_ahead_of_its_turn(served: Served) -> None:
    assert served.answer(0).status_code == 403
    served.consent()
    ahead = served.answer(2)
    assert ahead.status_code == 409
    assert ahead.json()["error"].startswith("expected the answer to trial 0, got that to 2. Remedy:")
    assert len(served.store.judgements()) == 0


def test_a_link_leads_to_the_page(served: Served) -> None:
    led = served.http.get(f"/r/{served.token}")
    assert (led.status_code, led.headers["location"]) == (307, f"{served.token}/")
    page = served.get("")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for name in re.findall(r'(?:href|src)="([^"]+)"', page.text):
        assert served.get(name).status_code == 200, name


def test_the_page_s_files_are_served_by_name_and_need_no_looser_policy(served: Served) -> None:
    folder = Path(streaming_metrics.study.__file__).parent / "page"
    for file in folder.iterdir():
        assert served.get(file.name).content == file.read_bytes()
    page = served.get("").text
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://|<script(?![^>]*\ssrc=)", page)


def test_a_store_that_cannot_be_written_is_told_and_asked_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.consent()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(served.store, "answer", full)
        refused = served.answer(0)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert served.answer(0).json() == {"saved": 0, "done": 1}


def test_an_error_of_ours_leaves_no_trace_in_the_answer(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret of the inside")

    monkeypatch.setattr(served.store, "done", broken)
    failed = served.get("session")
    assert failed.status_code == 500
    assert "expected an answer, got an error of this server" in failed.json()["error"]
    assert "secret" not in failed.text
    assert "content-security-policy" in failed.headers


def test_one_rater_who_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    served = Served.of(tmp_path, Limits(rater=Rate(0.5, 3)))
    statuses = [served.get("session") for _ in range(4)]
    assert [reply.status_code for reply in statuses] == [200, 200, 200, 429]
    assert statuses[-1].headers["retry-after"] == "2"
    assert "expected at most 0.5 requests a second, got more. Remedy" in statuses[-1].json()["error"]
    assert served.http.get(f"/r/{served.store.tokens()[1]}/session").status_code == 200


def test_all_raters_together_have_a_rate_too(tmp_path: Path) -> None:
    served = Served.of(tmp_path, Limits(raters=Rate(0.01, 2)))
    urls = [f"/r/{token}/session" for token in served.store.tokens()]
    assert [served.http.get(url).status_code for url in (*urls, *urls)] == [200, 200, 429, 429]


def test_guesses_run_out_and_take_nothing_from_raters(tmp_path: Path) -> None:
    served = Served.of(tmp_path, Limits(stranger=Rate(0.01, 2)))
    guesses = [served.http.get(f"/r/guess{n}/session").status_code for n in range(4)]
    assert guesses == [404, 404, 429, 429]
    assert served.http.get("/admin?token=guess").status_code == 429
    assert served.http.get(f"{HOST}/r/{served.token}/session").status_code == 200
