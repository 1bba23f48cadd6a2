"""What is drawn: lines, bands, labels, points and pictures, rather than that something is."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MEASURES, WIDTHS, fill
from test_image import Colours, feed

from streaming_metrics import GenerativeMetrics, image, plots
from streaming_metrics.measures.base import GROUPS
from streaming_metrics.measures.keys import known_scalars
from streaming_metrics.plots.end_labels import LABEL_GAP, pushed_apart
from streaming_metrics.plots.figures import new_axes
from streaming_metrics.plots.result_keys import grouped, leading, spread_of

ROWS = [
    {"fid": torch.tensor(9.0), "kid": 0.30, "kid_std": 0.10, "precision": 0.5, "recall": 0.1, "coverage": 0.2},
    {"fid": torch.tensor(4.0), "kid": 0.20, "kid_std": 0.05, "precision": 0.7, "recall": 0.7, "coverage": 0.4},
]
PICTURES = torch.arange(3 * 3 * 4 * 5, dtype=torch.uint8).view(3, 3, 4, 5)


def lines(ax: Any) -> dict[str, list[float]]:
    return {line.get_label(): list(map(float, line.get_ydata())) for line in ax.lines}


def labels(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_a_curve_for_each_key_and_a_band_for_its_spread() -> None:
    ax = plots.curves([{k: row[k] for k in ("kid", "kid_std")} for row in ROWS], epochs=[2, 4])
    assert lines(ax) == {"kid": [0.30, 0.20]}
    assert list(ax.lines[0].get_xdata()) == [2, 4]
    [band] = ax.collections
    assert band.get_paths()[0].get_extents().get_points() == pytest.approx(np.array([[2, 0.15], [4, 0.40]]))
    assert labels(ax) == ["kid 0.200"]


def test_a_second_run_is_laid_over_the_first() -> None:
    ax = plots.curves([{"fid": 9.0}, {"fid": 5.0}], label="raw")
    assert plots.curves([{"fid": 8.0}, {"fid": 4.0}], ax, label="ema", linestyle="--") is ax
    assert lines(ax) == {"fid raw": [9.0, 5.0], "fid ema": [8.0, 4.0]}
    assert labels(ax) == ["fid raw 5.00", "fid ema 4.00"]
    assert ax.lines[1].get_linestyle() == "--"


def test_a_missing_epoch_is_a_gap_and_the_label_stands_at_the_last_value() -> None:
    ax = plots.curves([{"fid": 9.0}, {}, {"fid": 5.0}, {"kid": 1.0}])
    assert np.isnan(lines(ax)["fid"]).tolist() == [False, True, False, True]
    assert ax.texts[0].xy == (3.0, 5.0)


def test_labels_of_curves_that_meet_are_pushed_apart() -> None:
    ax = plots.curves([{k: row[k] for k in ("precision", "recall")} for row in ROWS])
    low, high = sorted(text.xyann[1] for text in ax.texts)
    assert high - low == pytest.approx(LABEL_GAP)
    assert low == pytest.approx(-high)


@pytest.mark.parametrize("heights", [[5.0, 1.0, 3.0], [0.0, 0.0, 0.0, 30.0], [0.0, 11.0, 22.0], [7.0]])
def test_pushing_keeps_the_order_and_the_mean(heights: list[float]) -> None:
    moved = pushed_apart(heights, 12.0)
    order = np.argsort(heights, kind="stable")
    assert (np.diff(np.array(moved)[order]) >= 12 - 1e-9).all()
    if len(heights) != 4:
        assert np.mean(moved) == pytest.approx(np.mean(heights))


def test_precision_stands_over_recall_and_the_ends_are_named() -> None:
    ax = plots.pr_scatter(ROWS, epochs=[3, 6])
    assert ax.collections[0].get_offsets().tolist() == [[0.1, 0.5], [0.7, 0.7]]
    assert labels(ax) == ["epoch 3", "epoch 6"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("recall", "precision")
    assert ax.get_xlim() == ax.get_ylim() == (0, pytest.approx(1.03))
    opacity = ax.collections[0].get_alpha()
    assert opacity[0] < opacity[1] == 1


def test_density_may_exceed_one() -> None:
    ax = plots.pr_scatter({"density_x": 1.6, "coverage_x": 0.5}, keys=("coverage", "density"))
    assert ax.get_ylim()[1] > 1.6


def test_runs_laid_over_each_other_are_all_in_sight_and_their_names_do_not_touch() -> None:
    """The second's limits cut the first off, and names of neighbouring points stood on each other."""
    ax = plots.pr_scatter({"recall": 1.5, "precision": 0.5}, label="raw")
    plots.pr_scatter({"recall": 0.51, "precision": 0.5}, ax, label="average", color="red")
    plots.pr_scatter({"recall": 0.5, "precision": 0.5}, ax, label="other")
    assert ax.get_xlim()[1] > 1.5
    assert labels(ax) == ["raw", "average", "other"]
    assert [text.get_color() for text in ax.texts] == [plots.COLOURS[0], "red", plots.COLOURS[0]]
    heights = sorted(text.xyann[1] for text in ax.texts)
    assert np.diff(heights) == pytest.approx(LABEL_GAP)
    nowhere = {"recall": float("nan"), "precision": 0.5}
    assert labels(plots.pr_scatter(nowhere, label="none")) == ["none"]


def test_a_scatter_leaves_what_else_is_on_the_axes_and_takes_a_colour_a_point() -> None:
    ax = new_axes(4, 4)
    note = ax.annotate("mine", (0.5, 0.5), (0.2, 0.9), textcoords="axes fraction")
    plots.pr_scatter({"recall": 0.5, "precision": 0.5}, ax, label="ours", color=["red"])
    assert note.xyann == (0.2, 0.9)
    assert labels(ax) == ["mine", "ours"]


def test_a_scatter_takes_both_keys_of_one_measure_and_network() -> None:
    row = {"precision": 0.9, "precision_k3": 0.8, "recall_k3": 0.4, "recall_x": 0.1}
    assert plots.pr_scatter(row).collections[0].get_offsets().tolist() == [[0.4, 0.8]]
    assert plots.pr_scatter(row, keys=("recall_x", "precision")).collections[0].get_offsets().tolist() == [[0.1, 0.9]]
    with pytest.raises(ValueError, match="Expected 'recall' and 'precision' of one measure among the values"):
        plots.pr_scatter({"precision": 0.9, "recall_x": 0.1})


def test_a_scatter_without_its_keys_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected 'recall' among the values, got fid\. Remedy: measure PRDC"):
        plots.pr_scatter({"fid": 1.0})


def test_each_generated_image_has_its_neighbour_to_the_right() -> None:
    ax = plots.neighbour_grid(PICTURES, 255 - PICTURES, distances=[0.5, 1.0, 2.0], columns=2)
    picture = torch.from_numpy(np.array(ax.images[0].get_array())).permute(2, 0, 1)
    assert picture.shape == (3, 2 * (4 + 1), 2 * (10 + 1))
    for i, (top, left) in enumerate([(0, 0), (0, 11), (5, 0)]):
        assert torch.equal(picture[:, top : top + 4, left : left + 5], PICTURES[i])
        assert torch.equal(picture[:, top : top + 4, left + 5 : left + 10], 255 - PICTURES[i])
    assert labels(ax) == ["0.50", "1.00", "2.00"]


def test_a_grid_wants_as_many_of_both() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3, 4, 5\) generated and \(2, 3, 4, 5\) real"):
        plots.neighbour_grid(PICTURES, PICTURES[:2])


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
@pytest.mark.parametrize("measure", MEASURES, ids=repr)
def test_every_measure_plots_what_it_computes(measure: Any) -> None:
    metric = fill(GenerativeMetrics([measure], None, num_features=6, num_classes=5, widths=WIDTHS))
    value = metric.compute()
    figure, axes = metric.plot()
    drawn = {key: ys for ax in np.atleast_1d(axes) for key, ys in lines(ax).items()}
    assert drawn == {key: [value[key].item()] for key in leading(value)}
    assert list(figure.axes) == list(np.atleast_1d(axes))


def test_measures_of_several_scales_get_axes_of_their_own() -> None:
    metric = GenerativeMetrics("fid", None, num_features=6)
    _, axes = metric.plot(ROWS)
    assert [list(lines(ax)) for ax in axes] == [["fid"], ["kid"], ["precision", "recall"], ["coverage"]]
    assert axes[0].get_title("left") == "Fréchet distance ↓"
    mine = plots.new_axes()
    assert metric.plot(ROWS, mine) == (mine.get_figure(), mine)
    assert list(lines(mine)) == ["fid", "kid", "precision", "recall", "coverage"]
    with pytest.raises(ValueError, match="one ax, or 4, one for each group of measures, got 2"):
        metric.plot(ROWS, axes[:2])


@pytest.mark.filterwarnings("ignore:Metric `.*` will save all extracted features:UserWarning")
def test_drop_ins_plot_what_torchmetrics_returns() -> None:
    kid = feed(image.KernelInceptionDistance(Colours(), subset_size=10))
    mean, std = kid.compute()
    _, ax = kid.plot([(mean, std), (mean, std)])
    assert lines(ax) == {"kid": [mean.item()] * 2}
    assert ax.collections[0].get_paths()[0].get_extents().height == pytest.approx(2 * std.item(), rel=1e-5)
    fid = feed(image.FrechetInceptionDistance(Colours()))
    assert lines(fid.plot()[1]) == {"fid": [fid.compute().item()]}
    assert lines(fid.plot([fid.compute(), torch.tensor(1.0)])[1]) == {"fid": [fid.compute().item(), 1.0]}


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return genuine(name, *args, **kwargs)

    genuine = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "streaming-metrics\[plots\]"'):
        plots.curves({"fid": 1.0})


def test_what_is_no_result_is_refused() -> None:
    with pytest.raises(ValueError, match="a dict that compute"):
        plots.curves([1.0, 2.0])  # pyright: ignore[reportArgumentType]


def test_names_stand_for_keys_and_bands_stay_with_their_curves() -> None:
    rows = [{"kd_x": 2.0, "kd_std_x": 0.5, "kd_degree2_x": 1.0, "kd_std_degree2_x": 0.1}]
    ax = plots.curves(rows * 2, names={"kd_x": "cubic", "kd_degree2_x": "square"})
    assert lines(ax) == {"cubic": [2.0, 2.0], "square": [1.0, 1.0]}
    heights = [band.get_paths()[0].get_extents().height for band in ax.collections]
    assert heights == pytest.approx([1.0, 0.2])


def test_a_value_that_spans_decades_has_a_logarithmic_axis_until_one_reaches_0() -> None:
    ax = plots.curves([{"fid": 500.0}, {"fid": 4.0}])
    assert ax.get_yscale() == "log"
    assert [label.get_text() for label in ax.get_yticklabels() if "$" in label.get_text()] == []
    assert labels(ax) == ["fid 4.00"]
    assert plots.curves([{"fid": 300.0}, {"fid": 4.0}]).get_yscale() == "linear"
    plots.curves([{"fid": 0.0}, {"fid": 1.0}], ax)
    assert (ax.get_yscale(), ax.get_ylim()[0] <= 0) == ("linear", True)


def test_many_names_stay_within_the_axes_and_apart() -> None:
    ax = plots.curves([{f"loss_{i}": 1.0 + i * 1e-3 for i in range(40)}])
    height = ax.get_window_extent().height / ax.figure.dpi * 72  # pyright: ignore[reportOptionalMemberAccess]
    ends = ax.transAxes.inverted().transform(ax.transData.transform([text.xy for text in ax.texts]))[:, 1]
    places = sorted(end * height + text.xyann[1] for end, text in zip(ends, ax.texts))
    gaps = np.diff(places)
    assert gaps.min() == pytest.approx(height / 40)
    assert -1e-6 <= places[0] <= places[-1] <= height + 1e-6
    assert ax.texts[0].get_fontsize() == pytest.approx(8 * height / 40 / LABEL_GAP)


def test_a_panel_of_many_is_several() -> None:
    keys = [f"intra_fid_{c}" for c in range(9)]
    panels = grouped(["fid", *keys])
    assert [(panel.title, of) for panel, of in panels[1:]] == [
        (f"Fréchet distance within classes, {part + 1} of 3", keys[4 * part : 4 * part + 4]) for part in range(3)
    ]


def test_panels_come_by_group() -> None:
    groups = [panel.group for panel, _ in grouped(reversed(["loss", *known_scalars()]))]
    assert groups == sorted(groups, key=GROUPS.index)
    assert (groups[0], groups[-1]) == ("core", "own")
    assert "paired" in groups


def test_two_of_one_measure_share_a_scale() -> None:
    panels = grouped(["precision", "density", "precision_k3", "loss", "recall_k3_x"])
    assert [(panel.heading, keys) for panel, keys in panels] == [
        ("Precision and recall ↑", ["precision", "precision_k3", "recall_k3_x"]),
        ("Density and coverage ↑", ["density"]),
        ("loss", ["loss"]),
    ]


@pytest.mark.parametrize(
    ("key", "spread", "is_band"),
    [
        ("kid", "kid_std", True),
        ("val/kd_x", "val/kd_se_x", True),
        ("is_gamma2_x", "is_std_gamma2_x", True),
        ("kd_x", "kd_std_y", False),
        ("val/kid", "test/kid_std", False),
        ("kid", "kid_std_gamma2", False),
        ("fid", "fid_std", False),
        ("loss", "loss_std", False),
    ],
)
def test_a_spread_belongs_to_its_scalar_of_the_same_measure_and_network(key: str, spread: str, is_band: bool) -> None:
    rows = [{key: 1.0, spread: 0.1}]
    assert spread_of(key, rows) == (spread if is_band else "")
    assert leading(rows) == ([key] if is_band else [key, spread])
