"""Templates of plans: they read as plans, whatever they are made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from streaming_metrics.study.plan import StudyPlan
from streaming_metrics.study.template import Template, epochs_in


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("real", "ours", "it's=odd"):
        (tmp_path / name).mkdir()
    for epoch, step in ((0, 50), (2, 150), (10, 550), (10, 600), (11, 650), (9, 500), (4, 250)):
        (tmp_path / "samples" / f"epoch={epoch:02d}-step={step}").mkdir(parents=True)
    (tmp_path / "samples" / ".epoch=12-step=700.partial").mkdir()
    (tmp_path / "samples" / "other").mkdir()
    (tmp_path / "prompts.csv").write_text("prompt\na cat\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(template: Template) -> StudyPlan:
    template.path.parent.mkdir(exist_ok=True)
    template.path.write_text(template.text(), encoding="utf-8")
    return StudyPlan.read(template.path)


def test_a_template_has_the_tasks_that_its_conditions_allow(here: Path) -> None:
    def kinds(**more: object) -> list[str]:
        return [task.kind for task in read(Template(Path("s.toml"), **more)).tasks]  # type: ignore[arg-type]

    assert kinds(conditions={"a": "ours"}) == ["opinion"]
    assert kinds(conditions={"a": "ours", "b": "real"}) == ["preference", "opinion"]
    assert kinds(conditions={"real": "real", "b": "ours"}) == ["opinion", "categorisation"]
    assert kinds(conditions={"a": "ours"}, prompts=here / "prompts.csv") == ["opinion", "alignment"]
    assert kinds(conditions={"a": "ours", "b": "real"}, kinds=("preference",)) == ["preference"]


def test_sources_are_relative_to_the_plan(here: Path) -> None:
    plan = read(Template(Path("studies/My Study.toml"), {"its oddé": "it's=odd"}))
    assert plan.name == "my-study"
    assert plan.conditions == {"its oddé": "../it's=odd"}
    absolute = read(Template(Path("s.toml"), {"a": str(here / "ours"), "b": "package.module:dataset"}))
    assert absolute.conditions == {"a": str(here / "ours"), "b": "package.module:dataset"}


def test_a_template_without_conditions_says_what_to_fill_in(here: Path) -> None:  # noqa: ARG001
    Path("s.toml").write_text(Template(Path("s.toml"), {}).text())
    with pytest.raises(ValueError, match=r"conditions: expected a source of images by name, got none\. Remedy"):
        StudyPlan.read("s.toml")


def test_a_source_that_is_not_there_is_refused(here: Path) -> None:  # noqa: ARG001
    with pytest.raises(FileNotFoundError, match="found none at theirs/"):
        Template(Path("s.toml"), {"a": "theirs/"}).text()
    with pytest.raises(ValueError, match=r"conditions\.noise: expected a name"):
        Template(Path("s.toml"), {"noise": "ours/"}).text()


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1, ["11"]),
        (2, ["00", "11"]),
        (3, ["00", "09", "11"]),
        (7, ["00", "02", "04", "09", "10-step-550", "10-step-600", "11"]),
        (99, ["00", "02", "04", "09", "10-step-550", "10-step-600", "11"]),
    ],
)
def test_epochs_are_spread_evenly(here: Path, most: int, expected: list[str]) -> None:
    epochs = epochs_in(here / "samples", most)
    assert list(epochs) == [f"epoch-{one}" for one in expected]
    assert epochs["epoch-11"] == str(here / "samples" / "epoch=11-step=650")


def test_a_folder_without_epochs_says_what_writes_them(here: Path) -> None:
    with pytest.raises(FileNotFoundError, match="keep_samples"):
        epochs_in(here / "ours")
    with pytest.raises(FileNotFoundError, match="keep_samples"):
        epochs_in(here / "none")
