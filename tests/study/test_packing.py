"""Packing: images of any source that `compare` reads, once, as they are shown."""

from __future__ import annotations

import io
import tarfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from streaming_metrics.images import Unreadable
from streaming_metrics.ratings.judgement import Judgement
from streaming_metrics.study.order import trials
from streaming_metrics.study.packing import open_study
from streaming_metrics.study.plan import StudyPlan
from streaming_metrics.study.sources import outline
from streaming_metrics.study.store import Store, StudyChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SOURCES = ["folder", "zip", "tar", "npz", "dataset"]
DATASET = "import torch\nours = [torch.full((3, 8, 8), 10 + k, dtype=torch.uint8) for k in range(12)]\n"
PREFERENCE = "[[task]]\nkind = 'preference'\nper_rater = 10\n"
OPINION = "[[task]]\nkind = 'opinion'\nper_rater = 10\n"


def pictures(start: int, count: int = 12, side: int = 8) -> list[NDArray[np.uint8]]:
    return [np.full((side, side, 3), start + k, np.uint8) for k in range(count)]


def write_folder(path: Path, images: list[NDArray[np.uint8]]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(path / f"{number:04d}.png")
    return path


def write(path: Path, kind: str, images: list[NDArray[np.uint8]]) -> str:
    if kind == "zip":
        folder = write_folder(path.with_name("unzipped"), images)
        with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, file.name)
    elif kind == "tar":
        with tarfile.open(path.with_suffix(".tar"), "w") as archive:
            archive.add(write_folder(path.with_name("untarred"), images), ".")
    elif kind == "npz":
        np.savez(path.with_suffix(".npz"), np.stack(images))
    else:
        write_folder(path, images)
    return path.name if kind == "folder" else f"{path.name}.{kind}"


@contextmanager
def no_bar(total: int) -> Iterator[Callable[[int], Any]]:
    done: list[int] = []
    yield done.append
    assert sum(done) == total


def planned(path: Path, head: str = "", tasks: str = PREFERENCE, **sources: str) -> StudyPlan:
    named = "\n".join(f"{name} = '{source}'" for name, source in sources.items())
    (path / "STUDY.toml").write_text(f"name = 's'\n{head}\n[conditions]\n{named}\n{tasks}")
    return StudyPlan.read(path / "STUDY.toml")


def levels(store: Store) -> list[int]:
    """Return the one grey level of each image, of which noise changes nothing."""
    images = [Image.open(io.BytesIO(item.data)) for item in map(store.item, range(len(store.items()))) if item]
    return [int(np.asarray(image)[0, 0, 0]) for image in images]


@pytest.fixture
def two(tmp_path: Path) -> StudyPlan:
    write_folder(tmp_path / "a", pictures(10))
    write_folder(tmp_path / "b", pictures(40))
    return planned(tmp_path, a="a", b="b/")


@pytest.mark.parametrize("kind", SOURCES)
def test_each_kind_of_source_is_packed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packed_sources.py").write_text(DATASET)
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "packed_sources:ours" if kind == "dataset" else write(tmp_path / "a", kind, pictures(10))
    write_folder(tmp_path / "b", pictures(40))
    with Store.open(tmp_path / "s.sqlite") as store:
        plan = open_study(planned(tmp_path, a=source, b="b/"), store, no_bar)
        assert plan.counts == {"a": 12, "b": 12, "noise": 12}
        assert levels(store) == [*range(10, 22), *range(40, 52), *range(40, 52)]
        assert store.meta("study") == plan.study
        for trial in trials(plan, 0):
            shown = [store.item(number) for number in trial.items]
            assert tuple(f"{item.condition}/{item.index}" for item in shown if item) == trial.ids


def test_sources_are_not_read_twice(two: StudyPlan, tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite") as store:
        first = open_study(two, store, no_bar)
        for name in "ab":
            (tmp_path / name).rename(tmp_path / f"{name}-elsewhere")
        second = open_study(two, store, forbidden)
    assert (second.study, second.digest, second.counts) == (first.study, first.digest, first.counts)
    assert trials(second, 3) == trials(first, 3)


def forbidden(total: int) -> Any:
    raise AssertionError(f"packed {total} images again")


def test_a_change_before_the_first_answer_packs_anew(two: StudyPlan, tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite") as store:
        first = open_study(two, store, no_bar)
        write_folder(tmp_path / "b", pictures(60, count=10))
        (tmp_path / "b" / "0011.png").unlink()
        second = open_study(two, store, no_bar)
        assert second.counts["b"] == 11
        assert second.study != first.study
        assert open_study(planned(tmp_path, "seed = 5", a="a", b="b"), store, no_bar).study != second.study


@pytest.mark.parametrize("change", ["plan", "images"])
def test_a_change_after_the_first_answer_is_refused(two: StudyPlan, change: str, tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite") as store:
        plan = open_study(two, store, no_bar)
        store.make_raters(1)
        answered(store, plan)
        other = planned(tmp_path, "seed = 5", a="a", b="b/") if change == "plan" else two
        if change == "images":
            write_folder(tmp_path / "b", pictures(40, count=13))
        before = store.items()
        with pytest.raises(StudyChanged, match=r"1 answers are kept\. Remedy"):
            open_study(other, store, forbidden)
        assert store.items() == before


def answered(store: Store, plan: StudyPlan) -> None:
    trial = trials(plan, 0)[0]
    pseudonym = store.progress()[0].pseudonym
    when = "2026-01-01T00:00:00+00:00"
    given = Judgement(plan.study, trial.task, trial.kind, pseudonym, 0, trial.ids, trial.conditions, 1.0, when)
    store.answer(0, given)


def test_an_image_that_does_not_read_leaves_nothing_packed(two: StudyPlan, tmp_path: Path) -> None:
    whole = (tmp_path / "b" / "0007.png").read_bytes()
    (tmp_path / "b" / "0007.png").write_bytes(whole[:40])
    with Store.open(tmp_path / "s.sqlite") as store:
        with pytest.raises(Unreadable, match=r"0007\.png"):
            open_study(two, store, bar_that_ends_early)
        assert store.items() == ()
        (tmp_path / "b" / "0007.png").write_bytes(whole)
        assert open_study(two, store, no_bar).counts["b"] == 12


@contextmanager
def bar_that_ends_early(total: int) -> Iterator[Callable[[int], Any]]:  # noqa: ARG001
    yield lambda n: n


def test_large_images_are_shrunk_and_noise_has_the_same_pixels(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    write_folder(tmp_path / "b", [generator.integers(0, 256, (30, 20, 3), np.uint8)])
    write_folder(tmp_path / "a", [np.full((1500, 3000, 3), 7, np.uint8)])
    tasks = "[[task]]\nkind = 'opinion'\nper_rater = 2\n[checks]\nevery = 2\n"
    with Store.open(tmp_path / "s.sqlite") as store:
        open_study(planned(tmp_path, tasks=tasks, a="a", b="b"), store, no_bar)
        large, own, noise = (Image.open(io.BytesIO(item.data)) for item in map(store.item, range(3)) if item)
        assert (own.size, large.size, noise.size) == ((20, 30), (2048, 1024), (20, 30))
        assert (own.mode, large.mode) == ("RGB", "RGB")
        pixels, shuffled = (np.asarray(image).reshape(-1, 3) for image in (own, noise))
        assert not (pixels == shuffled).all()
        assert sorted(map(tuple, pixels)) == sorted(map(tuple, shuffled))


def test_how_many_images_are_taken(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", pictures(0, count=130, side=2))
    write_folder(tmp_path / "b", pictures(0, count=12, side=2))
    with Store.open(tmp_path / "few.sqlite") as store:
        plan = open_study(planned(tmp_path, "images = 6", OPINION, a="a", b="b"), store, no_bar)
        assert (plan.counts["a"], plan.counts["b"]) == (6, 6)
        assert levels(store)[:12] == [k * 130 // 6 for k in range(6)] + [0, 2, 4, 6, 8, 10]
    with Store.open(tmp_path / "default.sqlite") as store:
        assert open_study(planned(tmp_path, a="a", b="b"), store, no_bar).counts["a"] == 100


def test_with_prompts_the_first_images_are_taken_in_their_order(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", pictures(0, count=12, side=2))
    write_folder(tmp_path / "b", pictures(50, count=12, side=2))
    (tmp_path / "p.csv").write_text("Prompts\na cat\na dog\na cup\n")
    with Store.open(tmp_path / "s.sqlite") as store:
        plan = open_study(planned(tmp_path, "prompts = 'p.csv'\nimages = 9", OPINION, a="a", b="b"), store, no_bar)
        assert levels(store)[:9] == list(range(9))
        first = next(trial for trial in trials(plan, 0) if trial.expected is None)
        assert first.prompt == ("a cat", "a dog", "a cup")[int(first.ids[0].partition("/")[2]) % 3]


def test_what_is_no_source_is_named_where_it_was_looked_for(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", pictures(0))
    with Store.open(tmp_path / "s.sqlite") as store, pytest.raises(FileNotFoundError, match="missing"):
        open_study(planned(tmp_path, a="a", b="missing/"), store, no_bar)


def test_an_outline_tells_changes_of_files(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a", pictures(0))
    first = outline("a", tmp_path)
    (folder / "notes.txt").write_text("no image")
    assert outline("a", tmp_path) == outline(str(folder), Path("/")) == first
    (folder / "0003.png").unlink()
    assert len({first, outline("a", tmp_path), outline("b", tmp_path), outline("json:loads", tmp_path)}) == 3
    assert outline("json:loads", tmp_path) == ""
    np.savez(tmp_path / "x.npz", np.zeros(9))
    before = outline("x.npz", tmp_path)
    np.savez(tmp_path / "x.npz", np.ones(9))
    assert outline("x.npz", tmp_path) != before
