"""SnapshotTournament: a callback that lets generators and discriminators of a GAN's training play each other.

    Trainer(callbacks=[SnapshotTournament("generator", "discriminator", latents=128)])

Lightning comes in through :mod:`~streaming_metrics.monitor.callback`, its only door.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.monitor.callback import Callback
from streaming_metrics.monitor.checks import refuse, sharding_warning, whole
from streaming_metrics.monitor.tournament import Rules, Tournament
from streaming_metrics.monitor.trainer import Run
from streaming_metrics.ratings.match_files import write_matches
from streaming_metrics.ratings.matches import Judged

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming_metrics.images.batches import Key
    from streaming_metrics.monitor.callback import LightningModule, Trainer
    from streaming_metrics.ratings.matches import Matches


class SnapshotTournament(Callback):
    """Callback that plays a GAN's snapshots against each other: win rate and skill, without another network.

    At every ``every_n_epochs``-th epoch's validation it copies both networks to the host's memory, lets the new
    generator play all kept discriminators and the new discriminator all kept generators, on the same noise each time,
    and judge the first ``num_samples`` validation images. Counts add up over ranks, padding of a ``DistributedSampler``
    left out. Networks run in evaluation mode from their copies; randomness is isolated, and modes and buffers are put
    back: training goes on bit by bit as without it. It logs of the latest generator:

    - ``val/win_rate``: the mean share of samples that the discriminators it met judge wrongly; ½ is chance;
    - ``val/skill``, and ``val/discriminator_skill`` of its discriminator: log-odds, whose sum over all snapshots is 0,
      with a Gaussian prior of 3 log-odds. As snapshots are added that zero moves: compare those of one table, the last.

    The whole table is in ``matches.csv``, which :func:`~streaming_metrics.ratings.match_files.read_matches` reads. A
    checkpoint keeps the table, not the snapshots: a resumed run plays those that it takes itself.

    Args:
        generator: a part of the module by name, or a callable from the module to one; called with noise.
        discriminator: likewise; called with images as the generator makes them, or as validation batches hold them;
            it returns a score a sample, or a patch, of which the mean is taken.
        latents: the width of standard normal noise; or a callable from n to what the generator takes; by default the
            generator's method ``sample(n)``.
        every_n_epochs: validations of other epochs are passed over.
        keep: snapshots of either network that are kept, spread over the training; every rank holds them.
        num_samples: of a generator, and real ones, over all ranks.
        batch_size: generated per call.
        image_key: where the images are in a validation batch, as :class:`GenerationMonitor` takes it.
        logits: whether scores are log-odds; False for probabilities. A critic's scores are neither.
        seed: of the noise.
        prefix: of the logged keys.
        file: where the table is written: True for ``matches.csv`` in the trainer's ``log_dir``, a path ending in
            ``.csv`` or ``.jsonl``, or False.

    Attributes:
        matches: the table so far, a :class:`~streaming_metrics.ratings.matches.Matches`.

    Raises:
        ValueError: for arguments that cannot be meant, or sharded weights; at the first validation, where there is no
            such network, or it returns no scores.

    References:
        Olsson et al., Skill Rating for Generative Models, 2018 (arXiv:1808.04888).

    Example:
        >>> tournament = SnapshotTournament("generator", "discriminator", latents=128, keep=20)
        >>> tournament.keys
        ('val/win_rate', 'val/skill', 'val/discriminator_skill')
    """

    def __init__(
        self,
        generator: str | Callable[[Any], Any] = "generator",
        discriminator: str | Callable[[Any], Any] = "discriminator",
        *,
        latents: int | Callable[[int], Any] | None = None,
        every_n_epochs: int = 1,
        keep: int = 10,
        num_samples: int = 512,
        batch_size: int = 64,
        image_key: Key = "auto",
        logits: bool = True,
        seed: int = 0,
        prefix: str = "val/",
        file: bool | str | Path = True,
    ) -> None:
        super().__init__()
        numbers = {"num_samples": num_samples, "batch_size": batch_size, "keep": keep, "every_n_epochs": every_n_epochs}
        num_samples, batch_size, keep, every_n_epochs = whole(**numbers)
        refuse(min(num_samples, batch_size, every_n_epochs) < 1, _POSITIVE)
        check_integer("keep", keep, least=2)
        check_flag("logits", logits)
        self.rules = Rules(generator, discriminator, latents, image_key, num_samples, batch_size, seed, keep, logits)
        self.every_n_epochs, self.prefix, self.file = every_n_epochs, prefix, file
        self._tournament, self._has_begun = Tournament(self.rules), False

    @property
    def matches(self) -> Matches:
        """The table so far."""
        return self._tournament.matches

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are logged."""
        return tuple(self.prefix + key for key in ("win_rate", "skill", "discriminator_skill"))

    @property
    def state_key(self) -> str:
        """The name that tells the tournaments of one trainer apart."""
        return self._generate_state_key(prefix=self.prefix)

    def state_dict(self) -> dict[str, Any]:
        """Return the table, as plain values."""
        return {"matches": [(*meeting, *judged) for meeting, judged in self.matches]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a table; its snapshots are gone."""
        self._tournament = Tournament(self.rules)
        for generator, discriminator, step, *judged in state_dict["matches"]:
            self.matches.add(generator, discriminator, Judged(*judged), real=not generator, step=step)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Refuse weights in shards, of which no rank has a whole network to copy."""
        refuse(sharding_warning(trainer.strategy) is not None, _SHARDED.format(type(trainer.strategy).__name__))

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the snapshots at the first batch: by now an EMA callback has swapped its weights in."""
        run = Run(trainer, pl_module)
        if batch_idx == dataloader_idx == 0:
            if run.is_sanity_check:
                self._tournament.rehearse(run, batch)
            self._has_begun = self._is_due(run)
            if self._has_begun:
                self._tournament.begin(run, run.batches_that_stepped)
        if self._has_begun and dataloader_idx == 0:
            self._tournament.see(run, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Play on every rank, log, and write the table."""
        run = Run(trainer, pl_module)
        if not self._is_due(run):
            return
        if not self._has_begun:  # this rank had no batch
            self._tournament.begin(run, run.batches_that_stepped)
        self._has_begun = False
        values = self._tournament.end(run)
        run.log({self.prefix + key: value for key, value in values.items()}, None, run.batches_that_stepped)
        if self.file and run.is_writer and not run.dev_batches:
            path = Path(run.folder, "matches.csv") if self.file is True else Path(self.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_matches(self.matches, path)

    def _is_due(self, run: Run) -> bool:
        return run.stage == "fit" and not run.is_sanity_check and (run.epoch + 1) % self.every_n_epochs == 0


_SHARDED = (
    "SnapshotTournament: expected whole networks on every rank, got {}, which shards them. Remedy: strategy='ddp'."
)
_POSITIVE = "num_samples, batch_size, every_n_epochs must be ≥ 1."
