"""Modes, units, a map and ways between samples as they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from streaming_metrics import plots
from streaming_metrics.measures.mode_table import ModeTable
from streaming_metrics.measures.projection import Projection
from streaming_metrics.measures.units import Units
from streaming_metrics.plots.feature_map import ACROSS, placed_within, with_room

COUNTS = torch.tensor([20, 50, 0, 30]), torch.tensor([25, 0, 30, 45])
TABLE = ModeTable.of(*COUNTS, *torch.ones(2, 4).double())
NONE = torch.empty(3, 0, dtype=torch.int64)
BLACK = torch.zeros(3, 4, 4, dtype=torch.uint8)


def test_modes_stand_by_their_real_share_and_those_left_out_are_marked() -> None:
    ax = plots.modes(TABLE)
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.3, 0.2]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "3", "0"]
    bars, points = ax.collections
    assert points.get_offsets()[:, 1].tolist() == [0, 0.45, 0.25]
    low, high = (end[[1, 3, 0]] for end in TABLE.interval)
    assert [path.vertices[:, 1].tolist() for path in bars.get_paths()] == torch.stack([low, high], 1).tolist()
    assert [to_hex(colour) for colour in points.get_facecolor()] == [plots.COLOURS[1], plots.GREY, plots.GREY]


def test_labels_are_called_so_and_many_modes_are_not_numbered() -> None:
    many = torch.ones(60, dtype=torch.int64)
    ax = plots.modes(ModeTable.of(many, many, many.double(), many.double(), is_labelled=True), plots.new_axes())
    assert ax.get_xlabel() == "label"
    assert {text.get_text() for text in ax.get_xticklabels()} == {""}


def test_a_unit_without_bound_is_as_long_as_the_longest() -> None:
    ax = plots.units(Units(torch.tensor([9, 4, 2]), torch.tensor([-torch.inf, 2.0, -1.0]), NONE, NONE))
    assert [bar.get_width() for bar in ax.patches] == [-2, 2, -1]
    assert [text.get_text() for text in ax.texts] == ["−∞", "+2.00", "−1.00"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["unit 9", "unit 4", "unit 2"]
    ax = plots.units(Units(torch.tensor([9]), torch.tensor([torch.inf]), NONE[:1], NONE[:1]))
    assert ax.patches[0].get_width() == 1


def projected(n: int = 40, spread: float = 1.0) -> Projection:
    points = spread * torch.randn(2, n, 2, generator=torch.Generator().manual_seed(0)).double()
    return Projection(torch.arange(n), torch.arange(n) + 500, points[0], points[1] + 0.5, torch.tensor([0.5, 0.25]))


def test_a_map_shows_points_and_pictures_where_there_is_room() -> None:
    found = projected()
    ax = plots.projection(found, real={3: BLACK}, fake={500: BLACK, 501: BLACK})
    assert [points.get_offsets().shape for points in ax.collections] == [(40, 2), (40, 2)]
    np.testing.assert_allclose(ax.collections[1].get_offsets(), found.fake)
    pictures = [artist.xy for artist in ax.artists]
    assert pictures == [tuple(found.real[3].tolist()), tuple(found.fake[0].tolist()), tuple(found.fake[1].tolist())]


def test_pictures_do_not_cover_each_other_and_sides_take_turns() -> None:
    found = projected(300)
    images = dict.fromkeys(range(800), BLACK)
    shown = with_room(found, images, images)
    at = torch.stack([placed_within(found)[is_fake][place] for is_fake, place in shown])
    apart = (at[:, None] - at[None]).abs().amax(2) + torch.eye(len(at))
    assert len(shown) > 40
    assert apart.min() * ACROSS >= 1
    assert shown[:2] == [(False, 0), (True, 0)]
    assert abs(sum(is_fake for is_fake, _ in shown) - len(shown) / 2) < len(shown) / 5


def test_a_map_of_a_line_or_a_point_is_in_the_middle() -> None:
    found = projected(spread=0)
    real, fake = placed_within(Projection(found.real_ids, found.fake_ids, found.real, found.real, found.explained))
    assert real.eq(0.5).all()
    assert fake.eq(0.5).all()
    assert len(with_room(found, {0: BLACK}, {})) == 1
    assert with_room(found, {}, {}) == []


def test_ways_run_from_left_to_right() -> None:
    images = torch.arange(6, dtype=torch.uint8).view(2, 3, 1, 1, 1).expand(-1, -1, 3, 16, 16)
    picture = plots.interpolations(images).images[0].get_array()
    assert picture[0, ::16, 0].tolist() == [0, 1, 2]
    assert picture[16, 0].tolist() == [255, 255, 255]
    assert picture[17, ::16, 0].tolist() == [3, 4, 5]


@pytest.mark.parametrize("shape", [(3, 3, 8, 8), (2, 3, 1, 8, 8), (0, 3, 3, 8, 8)])
def test_images_that_are_no_ways_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected images \(ways, steps, 3, H, W\)"):
        plots.interpolations(torch.zeros(shape, dtype=torch.uint8))
