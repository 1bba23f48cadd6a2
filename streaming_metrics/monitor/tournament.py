"""Tournament of a training: kept generators and discriminators play each other, and count over ranks.

It knows no Lightning: :class:`~streaming_metrics.monitor.snapshot_tournament.SnapshotTournament` calls it from hooks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from streaming_metrics.distributed.comm import Comm
from streaming_metrics.images.batches import find_images
from streaming_metrics.images.forms import describe
from streaming_metrics.monitor.counting import Count, Dealing
from streaming_metrics.monitor.snapshots import Snapshots, part_of
from streaming_metrics.ratings.matches import REAL, Judged, Matches
from streaming_metrics.ratings.tournament import skills, win_rates
from streaming_metrics.sampling import chunks, isolated_rng
from streaming_metrics.untouched import evaluating, isolated, untouched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streaming_metrics.images.batches import Key
    from streaming_metrics.monitor.trainer import Run
    from streaming_metrics.sampling import Chunk

PRIOR = 3.0
"""Log-odds, the standard deviation of skills: early snapshots win nothing, and would have none that is finite."""


@dataclass(frozen=True)
class Rules:
    """Rules of a tournament, arguments of ``SnapshotTournament``, which says what each is."""

    generator: str | Callable[[Any], Any]
    discriminator: str | Callable[[Any], Any]
    latents: int | Callable[[int], Any] | None
    image_key: Key
    num_samples: int
    batch_size: int
    seed: int
    keep: int
    logits: bool


class Tournament:
    """Tournament of snapshots of one training.

    Args:
        rules: of it.

    Attributes:
        matches: the table so far, over all ranks.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.matches = Matches(logits=rules.logits)
        self.generators, self.discriminators = Snapshots(rules.keep), Snapshots(rules.keep)
        self._step, self._count, self._round = -1, Count(Dealing()), Matches(logits=rules.logits)

    def begin(self, run: Run, step: int) -> None:
        """Take a snapshot of either network, with whatever weights are active."""
        generator, discriminator = self._networks(run)
        self.generators.take(step, generator)
        self.discriminators.take(step, discriminator)
        self._step, self._round = step, Matches(logits=self.rules.logits)
        self._count = Count(Dealing.of(run.source, run.rank, run.world_size))

    def see(self, run: Run, batch: Any) -> None:
        """Let the new discriminator judge a validation batch's real images; the first ``num_samples`` count."""
        with isolated(), evaluating(run.module):
            images = find_images(batch, self.rules.image_key)
            _, keep = self._count.place(len(images))
            chosen = images[(keep & (self._count.turn < self.rules.num_samples)).to(images.device)]
            if len(chosen):
                judge = self._as_it_was(run, self.discriminators, self._step)
                self._round.update(REAL, _name(self._step), self._judged(run, judge, chosen), real=True)

    def end(self, run: Run) -> dict[str, Tensor]:
        """Play the new generator against all discriminators, and the reverse; return what is logged. Collective."""
        with isolated(), evaluating(run.module):
            for generators, discriminators in self._pairings():
                for chunk in self._chunks(run):
                    self._play(run, generators, discriminators, chunk)
        self.matches += self._summed()
        return self._values()

    def rehearse(self, run: Run, batch: Any) -> None:
        """Run one batch through all that a round does, and forget it."""
        with isolated(), evaluating(run.module):
            generator, discriminator = self._networks(run)
            chunk = next(chunks(min(2, self.rules.num_samples), self.rules.batch_size, seed=self.rules.seed))
            for images in (self._drawn(run, generator, chunk), find_images(batch, self.rules.image_key)):
                Matches(logits=self.rules.logits).update(REAL, "d", self._judged(run, discriminator, images), real=True)

    def _pairings(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Return who plays whom: the new generator all discriminators, then all older generators the new one."""
        older = tuple(step for step in self.generators.steps if step != self._step)
        return [((self._step,), self.discriminators.steps), *(((step,), (self._step,)) for step in older)]

    def _chunks(self, run: Run) -> Iterator[Chunk]:
        """Yield this rank's share of the noise, which is the same for every generator and number of ranks."""
        rules = self.rules
        return chunks(rules.num_samples, rules.batch_size, run.rank, run.world_size, rules.seed)

    def _play(self, run: Run, generators: tuple[int, ...], discriminators: tuple[int, ...], chunk: Chunk) -> None:
        for one in generators:
            images = self._drawn(run, self._as_it_was(run, self.generators, one), chunk)
            for other in discriminators:
                scores = self._judged(run, self._as_it_was(run, self.discriminators, other), images)
                self._round.update(_name(one), _name(other), scores)

    def _summed(self) -> Matches:
        """Return the round over all ranks, in the same order on each."""
        pairs = [(REAL, _name(self._step))]
        pairs += [(_name(g), _name(d)) for gs, ds in self._pairings() for g in gs for d in ds]
        counts = torch.tensor([self._round.of(*pair) for pair in pairs], dtype=torch.float64, device="cpu")
        summed = Matches(logits=self.rules.logits)
        for (generator, discriminator), (n, called, score) in zip(pairs, Comm().sum(counts).tolist()):
            if n:
                judged = Judged(int(n), int(called), score)
                summed.add(generator, discriminator, judged, real=generator == REAL)
        return summed

    def _values(self) -> dict[str, Tensor]:
        name, found = _name(self._step), skills(self.matches, PRIOR)
        values = {
            "win_rate": win_rates(self.matches)[name],
            "skill": found.generators[name],
            "discriminator_skill": found.discriminators[name],
        }
        return {key: torch.tensor(estimate.value, dtype=torch.float64) for key, estimate in values.items()}

    def _networks(self, run: Run) -> tuple[nn.Module, nn.Module]:
        rules, model = self.rules, run.module
        return part_of(model, rules.generator, "generator"), part_of(model, rules.discriminator, "discriminator")

    def _as_it_was(self, run: Run, snapshots: Snapshots, step: int) -> Callable[[Any], Any]:
        generator, discriminator = self._networks(run)
        return snapshots.run(step, generator if snapshots is self.generators else discriminator, run.device)

    def _drawn(self, run: Run, generator: Callable[[Any], Any], chunk: Chunk) -> Tensor:
        latents = self._latents(run)
        with isolated_rng(chunk.seed), untouched(run.module, latents, seed=chunk.seed), run.precision():
            given = latents(chunk.size)
            return generator(given.to(run.device) if isinstance(given, Tensor) else given)

    def _judged(self, run: Run, discriminator: Callable[[Any], Any], images: Tensor) -> Any:
        """Return a score a sample: the mean over patches, where a discriminator judges those."""
        with isolated_rng(self.rules.seed), run.precision():
            scores = discriminator(images)
        if not isinstance(scores, Tensor) or len(scores) != len(images):
            raise ValueError(_SCORES.format(len(images), describe(scores)))
        flat = scores.float().cpu().double().flatten(1) if scores.ndim > 1 else scores.float().cpu().double()[:, None]
        return flat.mean(1).numpy()

    def _latents(self, run: Run) -> Callable[[int], Any]:
        given = self.rules.latents
        if isinstance(given, int):
            return partial(_normal, width=given)
        found = given or getattr(self._networks(run)[0], "sample", None)
        if not callable(found):
            raise ValueError(_NO_LATENTS.format(type(self._networks(run)[0]).__name__))
        return found


def _normal(n: int, width: int) -> Tensor:
    return torch.randn(n, width)


def _name(step: int) -> str:
    return f"step={step}"


_SCORES = (
    "discriminator: Expected a tensor of scores ({0},) or ({0}, …) of {0} images, got {1}. Remedy: discriminator= a "
    "function from the model to a module that returns scores alone."
)
_NO_LATENTS = (
    "latents: Expected the width of the noise, or a method sample(n) of the generator, got a {} without. Remedy: "
    "latents=128, or a function from n to what the generator takes."
)
