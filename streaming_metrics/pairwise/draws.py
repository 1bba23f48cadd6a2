"""Draw: which rows the subsets of a subset average hold, as the peers draw them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from streaming_metrics.arguments import check_integer
from streaming_metrics.pairwise.base import check_distinct

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.features import Role


@dataclass(frozen=True)
class Draw:
    """Which rows each subset holds.

    Args:
        subsets, size: S subsets of ``size`` rows a side, without replacement.
        seed: of one ``numpy.random.RandomState``; each subset draws its generated rows first, then its real ones, as
            torch-fidelity does. Bytes are the state of a torch generator: real rows first, by ``randperm``, as
            torchmetrics does.
        roles: the side that stands for the real one, and the generated one.

    Example:
        >>> Draw(subsets=2, size=3, seed=0).places(num_real=5, num_fake=4)["fake"].shape
        torch.Size([2, 3])
    """

    subsets: int
    size: int
    seed: int | bytes
    roles: tuple[Role, Role] = ("real", "fake")

    def __post_init__(self) -> None:
        check_integer("subsets", self.subsets, least=1)
        check_integer("size", self.size, least=2)
        check_seed("seed", self.seed)
        check_distinct("Draw", *self.roles)

    def places(self, num_real: int, num_fake: int) -> dict[Role, Tensor]:
        """Return int64 ``(S, size)`` of each side: places in the order of the index."""
        return dict(zip(self.roles, _places(self, num_real, num_fake)[0]))

    def is_sparse(self, num_real: int, num_fake: int) -> bool:
        """Return whether multiplying out the subsets' pairs costs less than those of the whole sides.

        A subset meets itself in three of four quarters, and the other side's; whole sides meet themselves in halves.
        """
        return 2.5 * self.subsets * self.size**2 < (num_real + num_fake) ** 2 / 2

    def state_after(self, num_real: int, num_fake: int) -> bytes:
        """Return the torch generator's state once all subsets are drawn."""
        return _places(self, num_real, num_fake)[1]


def check_seed(name: str, seed: int | bytes) -> None:
    """Raise TypeError or ValueError unless ``seed`` is one of NumPy's, or the state of a torch generator."""
    if not isinstance(seed, bytes):
        return check_integer(name, seed, least=0, most=2**32 - 1)
    try:
        _generator(seed)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{name}: expected the bytes of a torch generator's state, got {len(seed)} others.") from error


def _generator(state: bytes) -> torch.Generator:
    generator = torch.Generator()
    return generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


@lru_cache(maxsize=4)
def _places(draw: Draw, num_real: int, num_fake: int) -> tuple[tuple[Tensor, Tensor], bytes]:
    real, fake = [], []
    if isinstance(draw.seed, bytes):
        generator = _generator(draw.seed)
        for _ in range(draw.subsets):
            real.append(torch.randperm(num_real, generator=generator)[: draw.size])
            fake.append(torch.randperm(num_fake, generator=generator)[: draw.size])
        after = generator.get_state().numpy().tobytes()
    else:
        random, after = np.random.RandomState(draw.seed), b""
        for _ in range(draw.subsets):
            fake.append(torch.from_numpy(random.choice(num_fake, draw.size, replace=False)))
            real.append(torch.from_numpy(random.choice(num_real, draw.size, replace=False)))
    return (torch.stack(real), torch.stack(fake)), after
