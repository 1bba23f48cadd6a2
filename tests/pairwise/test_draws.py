"""Draws: subsets as the peers draw them, for any two roles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streaming_metrics.pairwise import Draw

N, M = 40, 31


@pytest.mark.parametrize("seed", [2020, 7])
def test_a_draw_is_one_random_state_generated_rows_first(seed: int) -> None:
    places = Draw(subsets=4, size=9, seed=seed).places(num_real=N, num_fake=M)
    random = np.random.RandomState(seed)
    for fake, real in zip(places["fake"].tolist(), places["real"].tolist()):
        assert fake == random.choice(M, 9, replace=False).tolist()
        assert real == random.choice(N, 9, replace=False).tolist()


def test_bytes_are_a_generators_state_real_rows_first() -> None:
    generator = torch.Generator().manual_seed(3)
    draw = Draw(subsets=4, size=9, seed=generator.get_state().numpy().tobytes())
    places = draw.places(N, M)
    for real, fake in zip(places["real"], places["fake"]):
        assert torch.equal(real, torch.randperm(N, generator=generator)[:9])
        assert torch.equal(fake, torch.randperm(M, generator=generator)[:9])
    assert draw.state_after(N, M) == generator.get_state().numpy().tobytes()


def test_roles_name_the_sides_and_change_no_draw() -> None:
    places = Draw(4, 9, 7).places(N, M)
    of_train = Draw(4, 9, 7, roles=("train", "fake")).places(N, M)
    assert torch.equal(of_train["train"], places["real"])
    assert torch.equal(of_train["fake"], places["fake"])
