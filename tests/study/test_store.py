"""The store: what is acknowledged is on the disk, once, and the file is refused where it is not ours."""

from __future__ import annotations

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from small_study import ITEMS, PLAN, STUDY, small_store

from streaming_metrics.ratings.judgement import Judgement
from streaming_metrics.study.schema import StoreRefused
from streaming_metrics.study.store import Store, StudyChanged

LEFT = Judgement(
    study=STUDY,
    task="preference",
    kind="preference",
    rater="ab12",
    trial=0,
    items=("real/0", "epoch-03/1"),
    conditions=("real", "epoch-03"),
    answer=1.0,
    when="2026-01-01T00:00:00.000+00:00",
    prompt="a horse – 말",
    reaction_ms=812.3,
)


def test_a_second_answer_to_a_trial_acknowledges_and_keeps_the_first(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        assert store.answer(0, LEFT) == LEFT
        assert store.answer(0, replace(LEFT, answer=0.0)) == LEFT
        other = replace(LEFT, rater="cd34", answer=0.0)  # of the same number
        assert store.answer(1, other) == other
        assert [judgement.answer for judgement in store.judgements()] == [1.0, 0.0]
        assert [progress.done for progress in store.progress()] == [1, 1]


def test_one_of_many_threads_answers_a_trial(tmp_path: Path) -> None:
    with small_store(tmp_path) as store, ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda n: store.answer(0, replace(LEFT, reaction_ms=float(n))), range(64)))
        assert len({*kept}) == len(store.judgements()) == 1


def test_two_processes_worth_of_stores_see_one_another(tmp_path: Path) -> None:
    with small_store(tmp_path) as one, small_store(tmp_path) as other:
        one.answer(0, LEFT)
        assert other.answer(0, replace(LEFT, answer=0.0)) == LEFT
        assert one.tokens() == other.tokens()


def test_commits_are_forced_to_the_disk_and_logged_ahead(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        for connection in (store._database.writer, store._database.reader):
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        store.answer(0, LEFT)
        pages = store._database.writer.execute("PRAGMA page_count").fetchone()[0]
        store._database.writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            store.answer(0, replace(LEFT, trial=1, prompt="x" * 99_999))
        assert list(store.judgements()) == [LEFT]
        store._database.writer.execute("PRAGMA max_page_count = 1000000")
        store.answer(0, replace(LEFT, trial=1, prompt="x" * 99_999))
        assert store.done(0) == 2


def test_items_are_added_all_or_none(tmp_path: Path) -> None:
    def broken():
        yield ITEMS[0]
        raise OSError("unreadable image")

    with Store.open(tmp_path / "new.sqlite") as store:
        store.begin(STUDY, PLAN.plan_digest, "{}")
        with pytest.raises(OSError, match="unreadable image"):
            store.add_items(broken())
        assert store.items() == ()
        assert store.begin(STUDY, PLAN.plan_digest, "{}"), "still to be added"
        store.add_items(ITEMS)
        assert [store.item(item.number) for item in ITEMS] == ITEMS
        assert store.items() == tuple(item.facts for item in ITEMS)
        assert store.item(99) is None


def test_a_changed_study_is_packed_again_until_answers_exist(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        assert not store.begin(STUDY, PLAN.plan_digest, "{}")
        assert store.begin("small-ffffffff", "ffffffff", "{}")
        assert store.items() == ()
        store.answer(0, LEFT)
        with pytest.raises(StudyChanged, match=r"small-ffffffff, got small-.*1 answers are kept.*Remedy"):
            store.begin(STUDY, PLAN.plan_digest, "{}")
        assert store.meta("study") == "small-ffffffff"


def test_the_store_keeps_hashes_and_the_key_beside_it_prints_links_again(tmp_path: Path) -> None:
    with small_store(tmp_path, raters=3) as store:
        tokens, admin = store.tokens(), store.admin_token()
        assert len({*tokens, admin}) == 4
        assert all(len(token) == 32 for token in (*tokens, admin or ""))
        assert [store.rater(token).slot for token in tokens] == [0, 1, 2]  # type: ignore[union-attr]
        assert store.make_raters(4)[:3] == tokens
        assert len({progress.pseudonym for progress in store.progress()}) == 4
        assert store.is_admin(admin or "")
        assert not store.is_admin("")
        assert store.admin_token() is None
        assert store.new_admin_token()
        assert not store.is_admin(admin or "")
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not any(token.encode() in kept for token in (*tokens, admin or ""))
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("found", ["none", "another"])
def test_links_work_without_their_key_but_are_not_printed(tmp_path: Path, found: str) -> None:
    with small_store(tmp_path) as store:
        token, _ = store.tokens()
        key = tmp_path / "small.sqlite.key"
        key.unlink() if found == "none" else key.write_bytes(bytes(24))
        assert store.rater(token)
        for ask in (store.tokens, lambda: store.make_raters(3)):
            with pytest.raises(StoreRefused, match=rf"small.sqlite.key.*got {found}.*Remedy"):
                ask()
        assert len(store.progress()) == (2 if found == "none" else 3)


@pytest.mark.parametrize("odd", ["", "x" * 10_000, "\ud800", "☃", "' OR 1=1 --", "\x00"])
def test_a_text_that_is_no_token_is_no_raters(tmp_path: Path, odd: str) -> None:
    with small_store(tmp_path) as store:
        assert store.rater(odd) is None
        assert not store.is_admin(odd)


def test_consent_and_the_end_keep_their_first_time(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        token, _ = store.tokens()
        store.consent(0)
        first = store.rater(token)
        store.consent(0)
        store.finish(0)
        second = store.rater(token)
        assert first
        assert second
        assert first.consented == second.consented is not None
        assert second.finished is not None


def text(path: Path) -> None:
    path.write_text("no database, but a text that is long enough to be read as one's header" * 20)


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE mail (body TEXT)")


def later(path: Path) -> None:
    Store.open(path).close()
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("make", "got"), [(text, "not a database"), (foreign, "another program"), (later, "version 99")]
)
def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path: Path, make, got: str) -> None:
    path = tmp_path / "other.sqlite"
    make(path)
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match=rf"expected the store of a study, got .*{got}.*Remedy"):
        Store.open(path)
    assert path.read_bytes() == before
