"""Plans of studies: read, checked key by key, and digested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from streaming_metrics.study.feasible import noise_origin, noise_source, notes
from streaming_metrics.study.plan import StudyPlan
from streaming_metrics.study.plan_file import parse

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
name = "digits"
seed = 7
languages = ["en", "ko"]
raters = 12
images = 40
[consent]
en = "I agree."
ko = "동의합니다."
[conditions]
real = "digits/"
epoch-03 = "samples/epoch=03/"
epoch-11 = "samples/epoch=11/"
[[task]]
kind = "preference"
per_rater = 30
ties = false
question = { en = "Which?", ko = "어느 것?" }
[[task]]
name = "turing"
kind = "preference"
against_real = true
[[task]]
kind = "opinion"
scale = 7
conditions = ["real", "epoch-03"]
[[task]]
kind = "categorisation"
exposures_ms = [100]
[checks]
every = 5
"""
SMALL = 'name = "s"\n[conditions]\nreal = "r/"\na = "a/"\nb = "b/"\n[[task]]\nkind = "preference"\n'


@dataclass(frozen=True)
class Facts:
    number: int
    condition: str
    index: int
    sha256: str = "00"


def test_a_whole_plan_is_read() -> None:
    plan = parse(WHOLE)
    preference, turing, opinion, categorisation = plan.tasks
    assert (plan.name, plan.seed, plan.languages, plan.raters, plan.images) == ("digits", 7, ("en", "ko"), 12, 40)
    assert plan.consent == {"en": "I agree.", "ko": "동의합니다."}
    assert preference.conditions == ("epoch-03", "epoch-11")
    assert (preference.ties, preference.per_rater, preference.question["ko"]) == (False, 30, "어느 것?")
    assert (turing.name, turing.all_conditions) == ("turing", ("epoch-03", "epoch-11", "real"))
    assert turing.question["en"] == "Which image looks more real?"
    assert (opinion.scale, opinion.conditions) == (7, ("real", "epoch-03"))
    assert (categorisation.exposures_ms, categorisation.real, categorisation.ties) == ((100.0,), "real", False)
    assert plan.check_every == 5


def test_what_is_left_out_has_a_default() -> None:
    plan = parse(SMALL)
    assert (plan.languages, plan.raters, plan.check_every, plan.images) == (("en",), 20, 10, None)
    assert "voluntary" in plan.consent["en"]
    assert plan.tasks[0].question == {"en": "Which image looks better?"}


WRONG = [
    ("name = 's'", "name = 'S p'", "name: expected small letters"),
    ("name = 's'", "", "name: expected a text, got none"),
    ("name = 's'", "name = 's'\nsed = 3", "sed: expected one of .* Did you mean 'seed'"),
    ("name = 's'", "name = 's'\nraters = 0", "raters: expected 1 to 100000"),
    ("name = 's'", "name = 's'\nraters = 2.0", "raters: expected an integer"),
    ("name = 's'", "name = 's'\nlanguages = ['de']", "languages: expected en and ko, got de"),
    ("name = 's'", "name = 's'\nlanguages = ['en', 'en']", "languages: .*each once"),
    ("name = 's'", "name = 's'\nconsent = {ko = 'x'}", "consent.en: expected a text, got none"),
    ("name = 's'", "name = 's'\nchecks.every = 1", "checks.every: expected at least 2"),
    ("name = 's'", "name = 's'\nchecks.evry = 4", "checks.evry: expected one of every"),
    ("real = 'r/'", "noise = 'r/'", "conditions.noise: expected a name"),
    ("real = 'r/'", "'a|b' = 'r/'", "conditions.a|b: expected a name"),
    ("real = 'r/'", "real = ''", "conditions.real: expected a text, got an empty one"),
    ("kind = 'preference'", "kind = 'liking'", "task 1.kind: expected one of preference"),
    ("kind = 'preference'", "kind = 'alignment'", "task alignment: expected prompts"),
    ("kind = 'preference'", "kind = 'preference'\nscale = 3", "task 1.scale: expected only with kind opinion"),
    ("kind = 'preference'", "kind = 'preference'\nconditions = ['a']", "at least 2 conditions"),
    ("kind = 'preference'", "kind = 'preference'\nconditions = ['a', 'c']", "expected some of a, b, got 'c'"),
    ("kind = 'preference'", "kind = 'preference'\nties = 1", "task 1.ties: expected true or false"),
    ("kind = 'preference'", "kind = 'categorisation'\nreal = 'x'", "task 1.real: expected one of real, a, b"),
    ("kind = 'preference'", "kind = 'categorisation'\nconditions = ['real']", "expected some of a, b, got 'real'"),
    ("kind = 'preference'", "kind = 'categorisation'\nexposures_ms = [1]", "expected 10 to 10000"),
    ("kind = 'preference'", "kind = 'categorisation'\nexposures_ms = []", "exposures_ms: expected a list"),
    ("kind = 'preference'", "kind = 'preference'\n[[task]]\nkind = 'preference'", "task.name: expected each once"),
    ("[[task]]\nkind = 'preference'", "", "task: expected tables"),
    ("name = 's'", "name = ", "Invalid value"),
]


@pytest.mark.parametrize(("there", "instead", "message"), WRONG)
def test_what_is_wrong_is_named(there: str, instead: str, message: str, tmp_path: Path) -> None:
    text = SMALL.replace('"', "'")
    assert there in text
    (tmp_path / "STUDY.toml").write_text(text.replace(there, instead))
    with pytest.raises(ValueError, match=f"STUDY.toml: .*{message}"):
        StudyPlan.read(tmp_path / "STUDY.toml")


def test_a_plan_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="streaming-metrics study new"):
        StudyPlan.read(tmp_path / "STUDY.toml")


SEEN = ["seed = 1", "languages = ['ko']", "consent = 'I do.'", "checks.every = 7", "images = 9"]


@pytest.mark.parametrize("change", SEEN)
def test_what_raters_see_is_in_the_digest(change: str) -> None:
    assert parse(f"{change}\n{SMALL}").digest != parse(SMALL).digest


@pytest.mark.parametrize("change", ["raters = 500", "seed = 0", "# a comment"])
def test_what_raters_do_not_see_is_not(change: str) -> None:
    plan = parse(SMALL)
    assert parse(f"{change}\n{SMALL}").digest == plan.digest
    assert parse(SMALL.replace("r/", "elsewhere/")).digest == plan.digest
    assert plan.study == f"s-{plan.digest[:8]}"


def test_items_and_prompts_are_in_the_digest(tmp_path: Path) -> None:
    plan = parse(f"checks.every = 0\n{SMALL}per_rater = 5")
    items = [Facts(number, name, k, f"{number}") for number, (name, k) in enumerate(ALL)]
    packed = plan.with_items(items)
    changed = plan.with_items([*items[:-1], Facts(29, "b", 9, "other")])
    assert packed.counts == {"real": 10, "a": 10, "b": 10, "noise": 0}
    assert len({plan.digest, packed.digest, changed.digest}) == 3
    assert plan.plan_digest == packed.plan_digest == changed.plan_digest
    (tmp_path / "p.csv").write_text("prompt\na cat\n")
    assert parse(f"prompts = 'p.csv'\n{SMALL}", tmp_path).plan_digest != parse(SMALL).plan_digest


ALL = [(name, k) for name in ("real", "a", "b") for k in range(10)]


@pytest.mark.parametrize("wrong", [slice(0, 20), slice(1, 30)])
def test_items_of_another_plan_are_refused(wrong: slice) -> None:
    plan = parse(f"checks.every = 0\n{SMALL}per_rater = 5")
    items = [Facts(number, name, k) for number, (name, k) in enumerate(ALL)][wrong]
    with pytest.raises(ValueError, match="expected images"):
        plan.with_items(items)


def test_too_few_images_are_refused() -> None:
    plan = parse(f"{SMALL}per_rater = 30")
    with pytest.raises(ValueError, match=r"task preference: expected at most 12 trials a rater.* per_rater = 30"):
        plan.with_counts({"real": 100, "a": 12, "b": 20})
    with pytest.raises(ValueError, match=r"conditions\.b: expected images, got none"):
        plan.with_counts({"real": 100, "a": 12})


def test_images_that_do_not_match_the_prompts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\na cat\na dog\na cup\n")
    plan = parse(f"prompts = 'p.csv'\n{SMALL}per_rater = 3", tmp_path)
    assert plan.with_counts({"real": 100, "a": 6, "b": 3}).counts["b"] == 3
    with pytest.raises(ValueError, match=r"conditions\.b: expected as many .* prompts, 3, or a multiple.*got 4"):
        plan.with_counts({"real": 100, "a": 6, "b": 4})


def test_notes_say_what_is_little() -> None:
    plan = parse(f"raters = 2\n{SMALL}per_rater = 8").with_counts({"real": 9, "a": 8, "b": 10})
    assert any("first 8 images of each condition are shown, of b 10" in note for note in notes(plan))
    assert any("16 trials of 2 raters" in note for note in notes(plan))
    assert not notes(parse(f"{SMALL}per_rater = 8").with_counts({"real": 9, "a": 8, "b": 8}))


def test_prompts_that_a_published_list_has_twice_are_told(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\na cat\na dog\na  cat\n")
    plan = parse(f"prompts = 'p.csv'\n{SMALL}per_rater = 3", tmp_path).with_counts({"real": 3, "a": 3, "b": 3})
    assert notes(plan) == ["prompts 1 and 3 are one text, and their images count as of one prompt: 'a cat'"]


def test_noise_images_are_made_of_images_spread_over_a_condition() -> None:
    plan = parse(SMALL).with_counts({"real": 64, "a": 32, "b": 32})
    assert (noise_source(plan), plan.counts["noise"]) == ("real", 16)
    assert [noise_origin(plan, k) for k in range(16)] == list(range(0, 64, 4))
    assert parse(f"checks.every = 0\n{SMALL}").with_counts({"real": 9, "a": 64, "b": 64}).counts["noise"] == 0
    unreal = parse(SMALL.replace("real", "c")).with_counts({"c": 20, "a": 20, "b": 7})
    assert (noise_source(unreal), unreal.counts["noise"]) == ("b", 7)
