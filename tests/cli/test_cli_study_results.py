"""``study results``: from a store and files to a table, JSON and a page; beside measures; and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from streaming_metrics.cli import app
from streaming_metrics.cli.results import Origin, Result
from streaming_metrics.cli.several_results import load_one, load_sides
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.match_files import write_matches
from streaming_metrics.ratings.matches import Matches
from streaming_metrics.ratings.results_file import read_results
from streaming_metrics.ratings.simulated import SimulatedRaters
from streaming_metrics.study.judging import judgement_of
from streaming_metrics.study.order import trials
from streaming_metrics.study.packing import open_study
from streaming_metrics.study.plan import StudyPlan
from streaming_metrics.study.store import Store
from streaming_metrics.study.submitted import Submitted

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

RUN = CliRunner()
QUALITIES = {"real": 1.0, "epoch-00": -1.5, "epoch-02": -0.5, "epoch-04": 0.2, "epoch-07": 0.6, "noise": -6.0}
PLAN = """
name = "digits"
raters = 8
[conditions]
real = "real/"
epoch-00 = "epoch-00/"
epoch-02 = "epoch-02/"
epoch-04 = "epoch-04/"
epoch-07 = "epoch-07/"
[[task]]
kind = "preference"
per_rater = 12
[[task]]
kind = "opinion"
per_rater = 12
[[task]]
kind = "categorisation"
per_rater = 12
exposures_ms = [50, 250]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the plan of a study that simulated raters have answered, through the store as the server does."""
    home, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    for name in [*QUALITIES][:-1]:
        (home / name).mkdir()
        for number in range(12):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(home / name / f"{number}.png")
    plan = home / "STUDY.toml"
    plan.write_text(PLAN)
    with Store.open(home / "digits.sqlite") as store:
        known = open_study(StudyPlan.read(plan), store, _bar)
        store.make_raters(8)
        for slot, rater in enumerate(SimulatedRaters(8, seed=0).make()):
            for trial in trials(known, slot):
                values = [QUALITIES[name] for name in trial.conditions]
                answer = rater.answer(trial.kind, values, ties=trial.ties, exposure_ms=trial.exposure_ms)
                given = Submitted(trial.number, answer, rater.reaction_ms(), trial.exposure_ms)
                when = f"2026-01-01T00:00:{slot:02d}+00:00"
                store.answer(slot, judgement_of(trial, given, study=known.study, rater=f"{slot:08x}", when=when))
    return plan


def _bar(total: int) -> AbstractContextManager[Any]:  # noqa: ARG001
    from contextlib import nullcontext

    return nullcontext(lambda n: None)  # noqa: ARG005


def run(*arguments: object, code: int = 0) -> str:
    done = RUN.invoke(app, ["study", "results", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def test_the_table_json_and_page_say_the_same(study: Path, tmp_path: Path) -> None:
    told = run(study, "--json", tmp_path / "r.json", "--report", tmp_path / "r.html", "--half-width", "0.2")
    found, page = read_results(tmp_path / "r.json"), (tmp_path / "r.html").read_text()
    one = found["tasks"][1]["scores"][0]["mean"]
    digits = f"{one['value']:.2f} ({one['low']:.2f} to {one['high']:.2f})"
    assert digits in told
    assert found["signature"] in told
    assert found["signature"] in page
    assert [task["name"] for task in found["tasks"]] == ["preference", "opinion", "categorisation"]
    assert found["raters_are"] == "people"
    assert found["checks"] == 8 * 3
    assert "± 0.2" in told


def test_each_table_of_several_has_its_headings_in_a_log_too(study: Path) -> None:
    told = run(study)
    for heading in ("strength (log-odds)\tshare won", "share won of the pair, less ½\t\tinterval\tp\tp (Holm)"):
        assert heading in told
    for one in ("difference of mean scores", "difference of taken for real"):
        assert one in told
    assert "\t-" not in told  # a minus is written like the one between conditions


def test_what_is_written_does_not_wait_for_who_reads_the_table(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(found: object) -> None:  # noqa: ARG001
        raise SystemExit(1)

    monkeypatch.setattr("streaming_metrics.cli.study_table.show_results", gone)
    run(study, "--json", tmp_path / "r.json", "--report", tmp_path / "r.html", code=1)
    assert read_results(tmp_path / "r.json")
    assert "</html>" in (tmp_path / "r.html").read_text()


def test_an_answers_file_that_is_not_there_is_named(study: Path, tmp_path: Path) -> None:
    assert "--answers: expected answers of a page, or judgements, got no file" in run(
        study, "--answers", tmp_path / "none.json", code=3
    )


def test_json_alone_goes_to_stdout(study: Path) -> None:
    assert json.loads(run(study, "--json", "-"))["format"] == "streaming-metrics-study"


def test_a_store_that_was_marked_says_that_its_raters_are_simulated(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "simulated.sqlite"
    with Store.open(study.parent / "digits.sqlite") as store:
        rows = store.judgements()
    copy.write_bytes((study.parent / "digits.sqlite").read_bytes())
    rows.write(tmp_path / "judgements.jsonl")
    with Store.open(copy) as store:
        store.note("raters_are", "simulated")
    told = run(study, "--store", copy, "--answers", tmp_path / "judgements.jsonl")
    assert "The raters are simulated: no person has judged." in told
    assert "raters:simulated-8|judgements:288" in told  # those of the file are the store's own, and count once


def test_measures_of_a_log_and_of_files_of_scores_stand_beside(study: Path, tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    rows = [f"{epoch},{epoch * 10},{900 - 100 * epoch},0.5" for epoch in range(9)]
    log.write_text("\n".join(["epoch,step,val/fid,train/loss", *rows, "8,80,,0.4"]) + "\n")
    told = run(study, "--beside", log, "--json", tmp_path / "r.json")
    assert "beside opinion (mean score)" in told
    assert "fid ↓\t" in told
    [fid] = read_results(tmp_path / "r.json")["beside"][1]["measures"]
    assert (fid["measure"], fid["better"], fid["checkpoints"]) == ("val/fid", "↓", 4)
    assert fid["spearman"]["value"] > 0.7
    assert [one["measured"] for one in fid["points"]] == [900.0, 700.0, 500.0, 200.0]
    sides = Origin("real", 12), Origin("fake", 12)
    line = "fid|ext:inception-v3-6726825d|resize:tf1-bilinear-299|real:12|fake:12|fp32|v0.1.0"
    files = []
    for name, value in (("epoch-00", 9.0), ("epoch-07", 2.0)):
        Result({"fid": value, "fid_bad": float("nan")}, line, *sides).save(tmp_path / f"{name}.json")
        files += ["--beside", f"{name}={tmp_path / name}.json"]
    run(study, *files, "--json", tmp_path / "r.json")
    [fid] = read_results(tmp_path / "r.json")["beside"][1]["measures"]
    assert (fid["spearman"]["value"], fid["spearman"]["low"]) == (1.0, None)
    assert "2 checkpoints are too few" in fid["note"]


def test_answers_of_a_static_page_are_merged(study: Path, tmp_path: Path) -> None:
    with Store.open(study.parent / "digits.sqlite") as store:
        known = StudyPlan.read(study).with_items(store.items())
        before = len(store.judgements())
    order = trials(known, 20)  # a slot that no link of the server has
    when, saved = "2026-01-02T00:00:00.000Z", tmp_path / "saved.json"
    answers = [
        {"number": one.number, "answer": 1.0, "reaction_ms": 900.0, "shown_ms": None, "when": when} for one in order
    ]
    facts = {"format": "streaming-metrics-answers", "version": 1, "study": known.study}
    saved.write_text(json.dumps({**facts, "slot": 20, "rater": "ab" * 8, "answers": answers}))
    run(study, "--answers", saved, "--json", tmp_path / "r.json")
    found = read_results(tmp_path / "r.json")
    assert found["judgements"] + found["checks"] == before + len(order)
    assert next(one for one in found["raters"] if one["rater"] == "ab" * 8)["flags"]  # one answer, always
    saved.write_text(saved.read_text().replace(known.study, "other-00000000"))
    assert "expected answers of digits-" in run(study, "--answers", saved, code=3)


def test_what_does_not_belong_is_refused_in_one_line(study: Path, tmp_path: Path) -> None:
    assert "no such file. Remedy: `study serve`" in run(study, "--store", tmp_path / "none.sqlite", code=3)
    assert "expected condition=scores.json" in run(study, "--beside", "epoch-99=x.json", code=3)
    (tmp_path / "m.csv").write_text("epoch,step,loss\n0,1,2\n")
    assert "expected measures at the epochs" in run(study, "--beside", tmp_path / "m.csv", code=3)
    other = SimulatedRaters(2).judge("opinion", {"a": 0.0}, study="other-00000000")
    other.write(tmp_path / "other.jsonl")
    assert "one study, got digits-" in run(study, "--answers", tmp_path / "other.jsonl", code=3)
    assert "read or written to already" in run(study, "--json", study, code=3)
    assert study.read_text() == PLAN


def test_a_study_without_answers_is_told(study: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "empty.sqlite") as store:
        open_study(StudyPlan.read(study), store, _bar)
    assert "expected judgements, got none. Remedy" in run(study, "--store", tmp_path / "empty.sqlite", code=3)


def test_judgements_of_a_changed_plan_are_refused(study: Path, tmp_path: Path) -> None:
    with Store.open(study.parent / "digits.sqlite") as store:
        rows = [*store.judgements()]
    changed = study.parent / "changed.toml"
    changed.write_text(PLAN.replace("raters = 8", "raters = 8\nseed = 9"))
    Judgements(rows).write(tmp_path / "rows.jsonl")
    told = run(changed, "--store", study.parent / "digits.sqlite", code=3)
    assert "the plan, its prompts or its images have changed" in told


@pytest.mark.parametrize("named", [True, False])
def test_compare_shows_what_people_say_of_the_generated_side(study: Path, tmp_path: Path, named: bool) -> None:
    run(study, "--json", tmp_path / "r.json")
    fake = "epoch-02" if named else "real"
    home, options = study.parent, ["--measures", "none", "--paired", "psnr", "--study", str(tmp_path / "r.json")]
    if not named:
        (home / "ours").mkdir()
        for file in (home / "epoch-02").iterdir():
            (home / "ours" / file.name).write_bytes(file.read_bytes())
        fake = "ours"
    sides = [str(home / "epoch-00"), str(home / fake)]
    done = RUN.invoke(app, ["compare", *sides, *options, "--json", str(tmp_path / "s.json"), "-q"])
    assert done.exit_code == 0, done.output
    people = Result.load(tmp_path / "s.json").people
    if named:
        one = read_results(tmp_path / "r.json")["tasks"][1]["scores"][1]["mean"]
        assert f"people: opinion: mean opinion {one['value']:.2f} ({one['low']:.2f} to" in done.output
        assert people["scores"][1]["value"] == one["value"]
    else:
        assert "no condition of the study is named like" in done.output
    shown = RUN.invoke(app, ["show", str(tmp_path / "s.json")])
    assert "people" in shown.output


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_several_sides_each_have_what_people_say_of_them(study: Path, tmp_path: Path) -> None:
    run(study, "--json", tmp_path / "r.json")
    sides = [str(study.parent / name) for name in ("real", "epoch-00", "epoch-02")]
    options = ["--extractor", "test_cli:patches", "--workers", "0", "--study", str(tmp_path / "r.json"), "-q"]
    done = RUN.invoke(app, ["compare", *sides, *options, "--json", str(tmp_path / "s.json")])
    assert done.exit_code == 0, done.output
    assert "people, epoch-00: opinion: mean opinion" in done.output
    found = load_sides(str(tmp_path / "s.json"))
    assert [one.people["condition"] for one in found.values()] == ["epoch-00", "epoch-02"]
    one = load_one(f"{tmp_path / 's.json'}:epoch-02")
    assert one.people == found["epoch-02"].people
    with pytest.raises(ValueError, match="expected scores of one side, got those of epoch-00, epoch-02"):
        load_one(str(tmp_path / "s.json"))


def test_a_tournament_is_told(tmp_path: Path) -> None:
    matches, rng = Matches(), np.random.default_rng(0)
    for strength in range(3):
        for name in ("d0", "d1"):
            matches.update(f"g{strength}", name, rng.beta(1 + strength, 2, 200))
    for name in ("d0", "d1"):
        matches.update("", name, rng.beta(3, 2, 200), real=True)
    write_matches(matches, tmp_path / "m.csv")
    options = ["--gam", "g0:d0,g2:d1", "--json", str(tmp_path / "t.json")]
    done = RUN.invoke(app, ["study", "tournament", str(tmp_path / "m.csv"), *options])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "t.json").read_text())
    rates = [one["win_rate"]["value"] for one in found["generators"]]
    assert rates == sorted(rates)
    assert found["signature"] in done.output
    assert "GAM: r_test" in done.output
    assert found["gam"]["winner"] in ("g2", None)
    wrong = RUN.invoke(app, ["study", "tournament", str(tmp_path / "m.csv"), "--gam", "g0,g2"])
    assert wrong.exit_code == 3
    assert "expected G1:D1,G2:D2" in wrong.output
