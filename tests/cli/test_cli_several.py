"""Several generated sides: one real side, one table, one file, one page; and verdicts on which is better."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_cli import HERE, TINY, done, folder, run, scores_of

from streaming_metrics.cli.facts import facts
from streaming_metrics.cli.results import Result
from streaming_metrics.cli.score_table import show_sides
from streaming_metrics.cli.several_results import SeveralResults, names_of

N = 120


def images(seed: int, noise: float = 0, shift: float = 0, n: int = N) -> list[Image.Image]:
    """Return images of seeds, of which noise and a shift make another model's."""
    pixels = np.random.default_rng(seed).normal(128, 40, (n, 8, 8, 3)) + shift
    pixels = pixels + np.random.default_rng(seed + 1).normal(0, 1, pixels.shape) * noise
    return [Image.fromarray(one.clip(0, 255).astype(np.uint8)) for one in pixels]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sides")
    made = {"real": images(0), "a": images(5, shift=4), "b": images(5, noise=2, shift=4.6), "far": images(9, shift=20)}
    return {name: folder(root / name, of) for name, of in made.items()}


def several(*arguments: Any) -> dict[str, Any]:
    return json.loads(done("compare", *arguments, *TINY, "--json", "-").stdout)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_each_side_scores_as_it_does_alone(sides: dict[str, Path]) -> None:
    measures = ["--measures", "fid,kid(subset_size=50),prdc(k=3)"]
    found = several(*sides.values(), *measures)
    assert list(found["sides"]) == ["a", "b", "far"]
    assert found["comparisons"] == []
    for name, one in found["sides"].items():
        alone = scores_of(sides["real"], sides[name], *TINY, *measures)
        assert one["scores"] == pytest.approx(alone["scores"], rel=1e-9)
        assert (one["signature"], one["fake"]) == (alone["signature"], alone["fake"])
        assert found["real"] == alone["real"]


def test_the_real_side_is_read_once(sides: dict[str, Path]) -> None:
    lines = done("compare", *sides.values(), *TINY).stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["real", "a", "b", "far"]


def test_a_table_of_several_sides(sides: dict[str, Path]) -> None:
    lines = done("compare", *sides.values(), *TINY, "--measures", "fid,prdc(k=3)").stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert rows[0] == ["measure", "a", "b", "far", "best"]
    assert [row[0] for row in rows[1:]][:2] == ["fd_patches", "precision_patches"]
    assert rows[1][-1] == "a"
    assert rows[1][1] == f"{several(*sides.values())['sides']['a']['scores']['fd_patches']:.6g}"


def table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, count: int = 3) -> list[str]:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    scores = {"fid": 12.3456, "fid_se": 0.412, "precision": 0.81234, "kid_std": 0.2}
    shown = {f"side {i}": {key: value + i for key, value in scores.items()} for i in range(count)}
    for i, one in enumerate(shown.values()):
        one["fid_se"] = 0.412 + i / 10
    show_sides(shown)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_the_best_is_bold_and_spreads_are_never_best(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bold = {line.split()[0]: line.count("\x1b[1m") for line in table(capsys, monkeypatch, 80)[1:]}
    assert bold == {"fid": 1, "precision": 1, "kid_std": 0}


def test_a_table_as_it_is_shown_in_80_and_60_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    wide = [
        "measure    side 0      side 1      side 2",
        "fid        12.3 ± 0.4  13.3 ± 0.5  14.3 ± 0.6",
        "precision  0.81234     1.81234     2.81234",
        "kid_std    0.2         1.2         2.2",
    ]
    tall = [
        "        fid         precision  kid_std",
        "side 0  12.3 ± 0.4  0.81234    0.2",
        "side 1  13.3 ± 0.5  1.81234    1.2",
    ]
    assert [plain(line) for line in table(capsys, monkeypatch, 80)] == wide
    assert [plain(line) for line in table(capsys, monkeypatch, 60)] == wide
    assert [plain(line) for line in table(capsys, monkeypatch, 60, count=9)][:3] == tall
    assert all(len(plain(line)) <= 30 for line in table(capsys, monkeypatch, 30, count=9))


def plain(line: str) -> str:
    return re.sub("\x1b\\[[0-9;]*m", "", line).rstrip()


def test_a_side_with_too_few_images_is_scored_by_the_other_measures(sides: dict[str, Path], tmp_path: Path) -> None:
    few = folder(tmp_path / "few", images(3, n=20))
    result = run(
        "compare", sides["real"], sides["a"], few, *TINY, "--measures", "fid,kid(subset_size=50)", "--json", "-"
    )
    assert result.exit_code == 4
    assert "few: kid(subset_size=50)" in result.stderr
    found = json.loads(result.stdout)["sides"]
    assert set(found["a"]["scores"]) == {"fd_patches", "kd_patches", "kd_std_patches"}
    assert set(found["few"]["scores"]) == {"fd_patches"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--measures", "is"],
            "is: expected as many images of every side, .* 120 of a, 20 of few. Remedy: --num-s",
        ),
        (["--paired", "psnr"], "--paired: expected one generated side, got 2"),
        (["--test"], "a and few: expected as many images of both, of the same seeds, got 120 and 20"),
    ],
)
def test_what_several_sides_cannot_have_is_refused(
    sides: dict[str, Path], tmp_path: Path, options: list[str], said: str
) -> None:
    few = folder(tmp_path / "few", images(3, n=20))
    result = run("compare", sides["real"], sides["a"], few, *TINY, *options)
    assert result.exit_code == 3
    assert re.search(said, result.stderr)
    assert "of 120 images" not in result.stderr  # before any was read


def test_all_images_of_all_sides_that_do_not_read_are_listed(sides: dict[str, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(sides[name], tmp_path / name)
        (tmp_path / name / "007.png").write_bytes(b"no image")
    command = ["compare", sides["real"], tmp_path / "a", tmp_path / "b", *TINY]
    result = run(*command)
    assert result.exit_code == 3
    assert "do not read (2)" in result.stderr
    skipped = json.loads(done(*command, "--on-error", "skip", "--json", "-").stdout)["sides"]
    assert [one["fake"]["num_samples"] for one in skipped.values()] == [N - 1, N - 1]


def test_rows_of_one_array_have_one_mistake_and_three_are_named(sides: dict[str, Path], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", 255 * np.random.default_rng(0).random((20, 8, 8, 3), dtype=np.float32))
    result = run("compare", sides["real"], f"{tmp_path / 'x.npy'}?range=0,1", *TINY)
    assert result.exit_code == 3
    assert "do not read (20)" in result.stderr
    assert [f"x.npy[{i}]: expected pixels of the range" in result.stderr for i in range(5)] == [True] * 3 + [False] * 2
    assert "… and 17 more of " in result.stderr
    done("compare", sides["real"], f"{tmp_path / 'x.npy'}?range=0,255", *TINY)  # the remedy


def test_sides_of_one_name_are_told_apart(sides: dict[str, Path], tmp_path: Path) -> None:
    for run_name in ("one", "two"):
        shutil.copytree(sides["a"], tmp_path / run_name / "samples")
    found = several(sides["real"], tmp_path / "one" / "samples", tmp_path / "two" / "samples", tmp_path / "one/samples")
    assert list(found["sides"]) == ["one/samples", "two/samples", "one/samples (2)"]


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_paired_images_tell_apart_what_intervals_of_their_own_do_not(sides: dict[str, Path]) -> None:
    paired = several(sides["real"], sides["a"], sides["b"], "--test")["comparisons"]
    apart = several(sides["real"], sides["a"], sides["b"], "--unpaired")["comparisons"]
    assert [(one["first"], one["second"], one["verdict"]) for one in paired] == [("a", "b", "better")]
    assert [one["verdict"] for one in apart] == ["undecided"]
    assert paired[0]["difference"] == pytest.approx(apart[0]["difference"])
    assert paired[0]["error"] * 3 < apart[0]["error"]
    assert paired[0]["gain"] == pytest.approx(apart[0]["error"] / paired[0]["error"], rel=1e-6)
    words = done("compare", sides["real"], sides["a"], sides["b"], *TINY, "--test").stdout
    assert "fd_patches: a is better than b by" in words
    assert "narrower than unpaired" in words


def test_a_side_against_itself_differs_by_nothing(sides: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(sides["a"], tmp_path / "same")
    (found,) = several(sides["real"], sides["a"], tmp_path / "same", "--test")["comparisons"]
    assert (found["difference"], found["error"], found["p_value"], found["verdict"]) == (0, 0, 1, "undecided")


def test_p_values_are_adjusted_over_the_table(sides: dict[str, Path]) -> None:
    found = several(*sides.values(), "--test", "--measures", "fid,kid(subset_size=50)")["comparisons"]
    assert {(one["key"], one["first"], one["second"]) for one in found} == {
        (key, *pair) for key in ("fd_patches", "kd_patches") for pair in [("a", "b"), ("a", "far"), ("b", "far")]
    }
    least = min(found, key=lambda one: one["p_value"])
    assert least["p_holm"] == pytest.approx(6 * least["p_value"])
    assert all(one["p_holm"] >= one["p_value"] for one in found)


def test_sides_of_other_paths_are_not_paired_in_silence(sides: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(sides["b"], other)
    (other / "007.png").rename(other / "900.png")
    result = run("compare", sides["real"], sides["a"], other, *TINY, "--test")
    assert result.exit_code == 3
    assert "a and other: expected the same paths below both, got 1 in a alone (007) and 1 in other" in result.stderr
    assert "--unpaired" in result.stderr
    assert several(sides["real"], sides["a"], other, "--unpaired")["comparisons"][0]["paired"] is False


def test_a_draw_is_the_same_of_all_sides(sides: dict[str, Path]) -> None:
    found = several(sides["real"], sides["a"], sides["b"], "--test", "--num-samples", 80)
    assert found["sides"]["a"]["ids"] == found["sides"]["b"]["ids"]
    assert found["comparisons"][0]["correlation"] > 0.9


def test_a_score_that_cannot_be_corrected_is_not_compared(sides: dict[str, Path]) -> None:
    few = ["--test", "--num-samples", 20]  # of 12 features
    (found,) = several(sides["real"], sides["a"], sides["b"], *few)["comparisons"]
    assert (found["difference"], found["p_value"], found["p_holm"], found["verdict"]) == (None, None, None, "undecided")
    words = done("compare", sides["real"], sides["a"], sides["b"], *TINY, *few).stdout
    assert "fd_patches: a and b cannot be compared: too few images" in words


def test_one_side_has_nothing_to_be_compared_with(sides: dict[str, Path]) -> None:
    result = run("compare", sides["real"], sides["a"], *TINY, "--test")
    assert result.exit_code == 3
    assert "--test: expected generated sides to compare, got one. Remedy: compare REAL A B --test" in result.stderr


def test_scores_are_told_though_they_cannot_be_compared(sides: dict[str, Path]) -> None:
    result = run("compare", sides["real"], sides["a"], sides["b"], *TINY, "--test", "--measures", "c2st")
    assert result.exit_code == 3
    assert "measure\ta\tb\tbest" in result.stdout
    assert "expected evidence of one score in two sides, got none in a, b" in result.stderr


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(sides: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return files of scores: of each side alone, at its time, and of several."""
    root = tmp_path_factory.mktemp("files")
    for name in ("a", "b"):
        done("compare", sides["real"], sides[name], *TINY, "--se", "--json", root / f"{name}.json")
    done(
        "compare", *sides.values(), *TINY, "--se", "--json", root / "all.json", "--report", root / "all.html", "--test"
    )
    return {path.name: path for path in root.iterdir()}


def test_files_made_at_different_times_compare_as_one_run_does(files: dict[str, Path], tmp_path: Path) -> None:
    told = done("test", files["a.json"], files["b.json"], "--json", tmp_path / "found.json").stdout
    assert "fd_patches: a is better than b by" in told
    (found,) = json.loads((tmp_path / "found.json").read_text())["comparisons"]
    together = json.loads(files["all.json"].read_text())["comparisons"][0]
    for what in ("difference", "error", "z", "correlation", "gain"):
        assert found[what] == pytest.approx(together[what], rel=1e-6)


def test_files_are_compared_without_torch(files: dict[str, Path]) -> None:
    arguments = ["streaming-metrics", "test", str(files["a.json"]), str(files["b.json"])]
    code = (
        f"import sys; sys.argv = {arguments!r}; from streaming_metrics.cli import app; app(standalone_mode=False); "
        "assert 'torch' not in sys.modules"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_sides_are_taken_out_of_a_file_of_several(files: dict[str, Path]) -> None:
    lines = done("test", f"{files['all.json']}:far", files["b.json"]).stdout
    assert "fd_patches: b is better than all: far by" in lines
    assert "for 3:" in done("test", files["all.json"]).stdout
    result = run("test", f"{files['all.json']}:near", files["b.json"])
    assert (result.exit_code, "one of a, b, far, got 'near'" in result.stderr) == (3, True)


def test_files_of_other_real_images_or_options_are_refused(
    sides: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    for real, options, said in [
        (sides["far"], [], "real data"),
        (sides["real"], ["--measures", "fid(se=True,reservoir=100)"], "fid fid"),
    ]:
        done("compare", real, sides["b"], *TINY, "--se", *options, "--json", other)
        result = run("test", files["a.json"], other)
        assert result.exit_code == 3
        assert f"a and other: expected scores that compare, got {said}" in result.stderr


def test_a_file_without_evidence_says_how_to_get_it(sides: dict[str, Path], tmp_path: Path) -> None:
    done("compare", sides["real"], sides["b"], *TINY, "--json", tmp_path / "plain.json")
    assert not {"evidence", "ids"} & json.loads((tmp_path / "plain.json").read_text()).keys()
    result = run("test", tmp_path / "plain.json", tmp_path / "plain.json")
    assert result.exit_code == 3
    assert "compare --se" in result.stderr


def test_show_and_diff_read_files_of_several_sides(files: dict[str, Path]) -> None:
    shown = done("show", files["all.json"]).stdout
    assert "fd_patches of far\t" in shown
    assert "evidence of a\tfd_patches: 120 samples" in shown
    assert run("diff", files["all.json"], files["all.json"]).exit_code == 0
    result = run("diff", f"{files['all.json']}:a", files["a.json"])
    assert (result.exit_code, "differs" in result.stdout) == (0, False)
    assert facts(f"{files['all.json']}:a") == facts(str(files["a.json"]))


def test_a_file_of_several_sides_reads_back_and_is_refused_where_it_is_damaged(
    files: dict[str, Path], tmp_path: Path
) -> None:
    text = files["all.json"].read_text()
    several = SeveralResults.load(files["all.json"])
    assert several.to_json() == text.rstrip("\n")
    assert isinstance(several.sides["a"], Result)
    for damage in ['"sides"', '"comparisons"', '"ids": "', '"real"']:
        (tmp_path / "x.json").write_text(text.replace(damage, damage.replace('"', '"x', 1), 1))
        with pytest.raises(ValueError, match="expected a file of scores, got one that does not read"):
            SeveralResults.load(tmp_path / "x.json")


def test_a_page_has_all_sides_and_their_verdicts(files: dict[str, Path]) -> None:
    page = files["all.html"].read_text()
    assert "Side by side" in page
    assert page.count("<strong>") == 2  # the best of fid, and of its corrected value
    assert "fd_patches: a is better than b by" in page
    for name in ("a", "b", "far"):
        assert f"Scores: {name}" in page


def test_one_side_with_errors_says_what_its_intervals_are_of(sides: dict[str, Path]) -> None:
    rows = [line.split("\t") for line in done("compare", sides["real"], sides["a"], *TINY, "--se").stdout.splitlines()]
    assert [row[0] for row in rows[:2]] == ["fd_patches", "fd_corrected_patches"]
    assert "±" in rows[0][1]
    low, high = map(float, rows[1][2].split(" to "))
    value, error = map(float, rows[1][1].split(" ± "))
    assert (low, high) == (pytest.approx(value - 1.96 * error, rel=0.3), pytest.approx(value + 1.96 * error, rel=0.3))
    assert rows[1][3] == "the distance, given the reference unless both=True"


@pytest.mark.slow  # test_cli.py has torchrun of one side
def test_torchrun_equals_one_process(sides: dict[str, Path], tmp_path: Path) -> None:
    options = [*TINY, "--measures", "fid,prdc(k=3)", "--test", "--batch-size", "7"]
    alone = several(*sides.values(), *options)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    written = ["--json", tmp_path / "two.json", "--report", tmp_path / "two.html"]
    command = [*launcher, "-m", "streaming_metrics", "compare", *sides.values(), *options, *written]
    paths = os.pathsep.join(map(str, (HERE.parent, HERE / "cli")))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    finished = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads((tmp_path / "two.json").read_text())
    for ours, theirs in zip(found["comparisons"], alone["comparisons"], strict=True):
        assert [ours[what] for what in ("key", "verdict")] == [theirs[what] for what in ("key", "verdict")]
        for what in ("difference", "error", "correlation"):
            assert ours[what] == pytest.approx(theirs[what], rel=1e-6)
    for name, side in found["sides"].items():
        assert side["scores"] == pytest.approx(alone["sides"][name]["scores"], rel=1e-9)
        assert side["ids"] == alone["sides"][name]["ids"]
    assert "Side by side" in (tmp_path / "two.html").read_text()


# --- references, prompts ----------------------------------------------------------------------------------------------


@pytest.mark.slow  # tests/verdicts/test_from_states.py does it in Python
def test_saved_references_are_compared_as_generated_sides(sides: dict[str, Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        done("reference", sides[name], "-o", tmp_path / name, *TINY, "--measures", "fid", "--se", "-q")
    saved = several(sides["real"], tmp_path / "a", tmp_path / "b", "--test")
    images = several(sides["real"], sides["a"], sides["b"], "--test")
    for what in ("difference", "error", "correlation"):
        assert saved["comparisons"][0][what] == pytest.approx(images["comparisons"][0][what], rel=1e-6)
    assert saved["sides"]["a"]["ids"] == images["sides"]["a"]["ids"]


def test_a_reference_of_moments_alone_has_a_score_and_no_verdict(sides: dict[str, Path], tmp_path: Path) -> None:
    done("reference", sides["a"], "-o", tmp_path / "old", *TINY, "--measures", "fid", "-q")
    result = run("compare", sides["real"], tmp_path / "old", sides["b"], *TINY, "--test")
    assert result.exit_code == 3
    assert "reference --se" in result.stderr
    assert "got none in old" in result.stderr


def test_images_of_one_prompt_are_a_cluster(sides: dict[str, Path]) -> None:
    found = several(sides["real"], sides["a"], sides["b"], "--se", "--per-prompt", 3)["sides"]["a"]
    assert found["evidence"]["fd_patches"]["fake"]["cluster"] == 3
    assert "cluster=3" in found["signature"]
    result = run("compare", sides["real"], sides["a"], *TINY, "--se", "--per-prompt", 3, "--measures", "c2st")
    assert (result.exit_code, "--per-prompt: expected measures whose errors" in result.stderr) == (3, True)


def test_a_side_is_lost_to_no_other_ones_name() -> None:
    for sources in (["a", "a", "a (2)"], ["a (2)", "a", "a"], ["b/a", "a", "./a", "a (2)"]):
        names = names_of(sources)
        assert len(set(names)) == len(sources), names


def test_prompts_are_told_where_errors_are_asked_for(sides: dict[str, Path]) -> None:
    result = run("compare", sides["real"], sides["a"], *TINY, "--per-prompt", 3)
    assert (result.exit_code, "Remedy: --se" in result.stderr) == (3, True)


def test_measures_that_know_no_influence_are_no_remedy(sides: dict[str, Path]) -> None:
    result = run("compare", *sides.values(), *TINY, "--measures", "vendi", "--unpaired")
    assert (result.exit_code, "by fid, kid or another measure that knows" in result.stderr) == (3, True)


def test_one_side_alone_and_its_own_file_are_refused(sides: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    done("compare", sides["real"], sides["a"], *TINY, "--se", "--json", file)
    told = file.read_bytes()
    alone, over = run("test", file), run("test", f"{file}:a", file, "--json", file)
    assert (alone.exit_code, "expected two sides or more to compare, got a" in alone.stderr) == (3, True)
    assert (over.exit_code, file.read_bytes() == told) == (3, True)
    over = run("test", f"{file}:a", f"{file}:a", "--json", file)
    assert (over.exit_code, file.read_bytes() == told) == (3, True)
