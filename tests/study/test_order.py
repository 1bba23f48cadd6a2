"""Order of trials: balanced, without repeats, the same every time."""

from __future__ import annotations

from collections import Counter
from itertools import chain, combinations, pairwise
from typing import TYPE_CHECKING

import pytest

from streaming_metrics.study.order import cell, trials
from streaming_metrics.study.plan_file import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.trial import Trial

FIRST = [("d/17", "b/17"), ("b/23", "d/23"), ("a/0", "d/0")]
PROMPTS = [f"a {colour} {thing}" for colour in ("red", "blue", "green") for thing in ("cube", "cat", "car", "cup")]


def plan_of(task: str, counts: dict[str, int], *, head: str = "seed = 7") -> StudyPlan:
    sources = "\n".join(f'{name} = "{name}/"' for name in counts)
    return parse(f'name = "s"\n{head}\n[checks]\nevery = 0\n[conditions]\n{sources}\n[[task]]\n{task}').with_counts(
        counts
    )


def over(plan: StudyPlan, slots: int) -> list[Trial]:
    return list(chain.from_iterable(trials(plan, slot) for slot in range(slots)))


def spread(things: Iterable[object], among: int) -> int:
    counts = Counter(things)
    return max(counts.values()) - (min(counts.values()) if len(counts) == among else 0)


@pytest.mark.parametrize(("pairs", "indices"), [(1, 7), (3, 9), (4, 6), (6, 4), (5, 7), (10, 100)])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_every_beginning_of_the_sequence_is_balanced(pairs: int, indices: int, turns: int) -> None:
    block = pairs * indices
    seen = [cell(t, pairs, indices, turns) for t in range(2 * block)]
    assert len({(c.pair, c.image) for c in seen[:block]}) == block
    for end in range(1, block + 1):
        assert spread((c.pair for c in seen[:end]), pairs) <= 1
        assert spread((c.image for c in seen[:end]), indices) <= 1
    for pair in range(pairs):
        of_pair = [c.turn for c in seen[:block] if c.pair == pair]
        assert all(spread(of_pair[:end], turns) <= 1 for end in range(1, len(of_pair) + 1))


@pytest.mark.parametrize(("pairs", "indices"), [(3, 9), (4, 6), (10, 100)])
def test_a_stretch_from_anywhere_repeats_nothing_before_all_came(pairs: int, indices: int) -> None:
    block = pairs * indices
    seen = [cell(t, pairs, indices, 1) for t in range(3 * block)]
    for start in range(block):
        assert len({c.image for c in seen[start : start + indices]}) == indices
        assert len({(c.pair, c.image) for c in seen[start : start + block]}) == block


COUNTS = {"real": 30, "a": 24, "b": 24, "c": 24, "d": 24}


def test_preferences_are_balanced_over_slots() -> None:
    plan = plan_of('kind = "preference"\nper_rater = 11', COUNTS)
    seen = over(plan, 13)
    assert spread((frozenset(t.conditions) for t in seen), 6) <= 1
    assert spread((t.ids[0].partition("/")[2] for t in seen), 24) <= 1
    assert all(a.partition("/")[2] == b.partition("/")[2] for t in seen for a, b in [t.ids])
    for pair in combinations("abcd", 2):
        left = Counter(t.conditions[0] for t in seen if set(t.conditions) == set(pair))
        assert abs(left[pair[0]] - left[pair[1]]) <= 1


def test_a_preference_against_real_shows_real_in_every_pair() -> None:
    plan = plan_of('kind = "preference"\nagainst_real = true\nper_rater = 8', COUNTS)
    seen = over(plan, 6)
    assert all("real" in t.conditions for t in seen)
    assert Counter(name for t in seen for name in t.conditions) == {"real": 48, "a": 12, "b": 12, "c": 12, "d": 12}


def test_categorisation_is_half_real_and_balances_exposures() -> None:
    plan = plan_of('kind = "categorisation"\nper_rater = 24\nexposures_ms = [50, 100, 250]', COUNTS)
    seen = over(plan, 9)
    assert {t.conditions == ("real",) for t in seen if t.truth == 1.0} == {True}
    assert sum(t.truth or 0 for t in seen) == len(seen) / 2
    assert spread(((t.conditions, t.exposure_ms) for t in seen if not t.truth), 12) <= 1
    assert spread((t.exposure_ms for t in seen), 3) <= 2
    for slot in range(9):
        assert len({t.items for t in trials(plan, slot)}) == 24
        assert {t.exposure_ms for t in trials(plan, slot)} == {50.0, 100.0, 250.0}


def test_no_rater_sees_an_item_twice_before_all_were_seen() -> None:
    plan = plan_of('kind = "opinion"\nper_rater = 12', {"a": 4, "b": 4, "c": 4})
    for slot in range(5):
        assert {t.ids[0] for t in trials(plan, slot)} == {f"{name}/{k}" for name in "abc" for k in range(4)}


def test_prompts_are_of_their_images_and_come_once_before_one_comes_again(tmp_path) -> None:
    (tmp_path / "prompts.csv").write_text("Prompts,Category\n" + "".join(f"{text},Colors\n" for text in PROMPTS))
    text = """
        name = "s"
        prompts = "prompts.csv"
        checks.every = 4
        conditions = {a = "a/", b = "b/"}
        [[task]]
        kind = "preference"
        per_rater = 12
        [[task]]
        kind = "alignment"
        per_rater = 12
    """
    plan = parse(text, tmp_path).with_counts({"a": 36, "b": 36})
    for slot in range(7):
        found = trials(plan, slot)
        for task in ("preference", "alignment"):
            asked = [t for t in found if t.task == task and t.expected is None]
            assert {t.prompt for t in asked} == set(PROMPTS)
            for t in asked:
                assert {PROMPTS[int(one.partition("/")[2]) % 12] for one in t.ids} == {t.prompt}
                assert t.category == "Colors"


def test_blocks_rotate_and_numbers_count_up() -> None:
    tasks = 'kind = "preference"\n[[task]]\nkind = "opinion"\n[[task]]\nkind = "categorisation"'
    plan = plan_of(tasks, COUNTS)
    for slot in range(4):
        found = trials(plan, slot)
        assert [t.number for t in found] == list(range(60))
        blocks = list(dict.fromkeys(t.task for t in found))
        assert blocks == [("preference", "opinion", "categorisation")[(slot + k) % 3] for k in range(3)]


def test_checks_are_spread() -> None:
    text = """
        name = "s"
        checks.every = 2
        conditions = {real = "r", a = "a/", b = "b/"}
        task = [{kind = "preference", per_rater = 9}, {kind = "opinion", per_rater = 8}, {kind = "categorisation"}]
    """
    plan = parse(text).with_counts({"real": 30, "a": 30, "b": 30})
    for slot in range(12):
        found = trials(plan, slot)
        checks = [t.number for t in found if t.expected is not None]
        assert len(checks) == 4 + 4 + 10
        assert 0 not in checks
        assert all(later - earlier > 1 for earlier, later in pairwise(checks))
        for t in found:
            assert ("noise" in t.conditions) == (t.expected is not None)
            if t.kind == "preference" and t.expected is not None:
                assert t.conditions[1 if t.expected else 0] == "noise"


def test_an_order_depends_on_the_seed_and_the_slot_alone() -> None:
    plan = plan_of('kind = "preference"', COUNTS)
    more = plan_of('kind = "preference"', COUNTS, head="seed = 7\nraters = 500")
    other = plan_of('kind = "preference"', COUNTS, head="seed = 8")
    assert trials(plan, 5) == trials(plan, 5) == trials(more, 5)
    assert trials(plan, 5) != trials(plan, 6)
    assert trials(plan, 5) != trials(other, 5)
    assert [t.ids for t in trials(plan, 1)[:3]] == FIRST, "a change of the order must change ORDER_VERSION"


def test_numbers_of_items_count_through_the_conditions() -> None:
    plan = plan_of('kind = "opinion"', COUNTS)
    for t in trials(plan, 0):
        name, index = t.ids[0].split("/")
        start = {"a": 30, "b": 54, "c": 78, "d": 102}[name]
        assert t.items == (start + int(index),)


def test_a_plan_without_images_has_no_order_yet() -> None:
    with pytest.raises(ValueError, match="plan with its images"):
        trials(parse('name = "s"\nconditions = {a = "a"}\ntask = [{kind = "opinion"}]'), 0)
