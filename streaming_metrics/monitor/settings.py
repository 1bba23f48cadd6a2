"""Settings of a monitor: its arguments, checked against each other."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch.utils.data import DataLoader

from streaming_metrics.core.inputs import check_value_range
from streaming_metrics.monitor.checks import refuse, refuse_train_steps, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from streaming_metrics.core.references import References
    from streaming_metrics.features import Role
    from streaming_metrics.images.batches import Key


@dataclass(frozen=True)
class Settings:
    """Settings, the arguments of a :class:`~streaming_metrics.monitor.GenerationMonitor`, which says what each is.

    Raises:
        ValueError: from :meth:`checked`, where they contradict each other or cannot be meant.

    Example:
        >>> settings = Settings.checked(num_samples=1e4, prefix="val/")
        >>> settings.num_samples, settings.prefix_in("test"), settings.sample_range
        (10000, 'test/', (0.0, 1.0))
    """

    fake_key: Key | None = None
    real: References | DataLoader[Any] = "val"
    train: References | DataLoader[Any] | None = None
    heldout: References | DataLoader[Any] | None = None
    image_key: Key = "auto"
    label_key: Key | None = None
    caption_key: Key | None = None
    generator: str | Callable[[Any], Any] | None = None
    num_samples: int = 10_000
    batch_size: int = 64
    seed: int = 0
    value_range: tuple[float, float] = (0, 1)
    sample_range: tuple[float, float] = (0, 1)
    every_n_epochs: int = 1
    every_n_train_steps: int | None = None
    prefix: str = "val/"
    log_images: int = 16
    weights_context: Callable[[Any], AbstractContextManager[Any]] = nullcontext
    refresh_real: bool = False
    keep_samples: str | Path | None = None
    keep_evidence: str | Path | None = None
    keep: int = 64
    decide: str | None = None
    alpha: float = 0.05
    alpha_over: Literal["comparison", "training"] = "comparison"
    rescore: int = 0

    @classmethod
    def checked(cls, **given: Any) -> Settings:
        """Return settings of arguments as users and configurations give them."""
        settings = cls(**{**given, **_whole_numbers(given), **_ranges(given)})
        smallest = min(settings.num_samples, settings.batch_size, settings.every_n_epochs, settings.keep)
        refuse(settings.refresh_real and "real" in settings.references, _FIXED)
        refuse(smallest < 1, "num_samples, batch_size, every_n_epochs, keep must be ≥ 1.")
        _check_decision(settings)
        takes_batches = settings.real_is_validation or settings.fake_key is not None
        refuse_train_steps(settings.every_n_train_steps, settings.every_n_epochs, takes_batches)
        return settings

    def of(self, name: str) -> Settings:
        """Return those of one of several samplers, whose keys and folders are below the monitor's.

        Example:
            >>> settings = Settings(keep_samples="looks").of("cfg=3")
            >>> settings.prefix, settings.keep_samples.as_posix(), Settings().of("") == Settings()
            ('val/cfg=3/', 'looks/cfg=3', True)
        """
        if not name:
            return self
        folders = {key: getattr(self, key) for key in ("keep_samples", "keep_evidence")}
        below = {key: folder if folder is None else Path(folder, name) for key, folder in folders.items()}
        return replace(self, prefix=f"{self.prefix}{name}/", **below)

    @property
    def num_shown(self) -> int:
        """How many generated images are at hand after a measurement, at most."""
        return max(self.log_images, 0 if self.keep_samples is None else self.keep)

    @property
    def real_is_validation(self) -> bool:
        """Whether the real images are the validation images."""
        return isinstance(self.real, str) and self.real == "val"

    @property
    def loaders(self) -> dict[Role, DataLoader[Any]]:
        """The dataloaders of images that have one of their own."""
        return {role: one for role, one in self.given.items() if isinstance(one, DataLoader)}

    @property
    def references(self) -> dict[Role, Any]:
        """The files of sides that are files."""
        return {role: one for role, one in self.given.items() if not isinstance(one, DataLoader)}

    @property
    def given(self) -> dict[Role, Any]:
        """The sides that are given: each a dataloader or a file."""
        real = None if self.real_is_validation else self.real
        sides = {"real": real, "train": self.train, "heldout": self.heldout}
        return {role: one for role, one in sides.items() if one is not None}

    def prefix_in(self, stage: str) -> str:
        """Return the prefix of logged keys; that of tests is another."""
        if stage != "test":
            return self.prefix
        return "test" + self.prefix.removeprefix("val") if self.prefix.startswith("val") else f"test/{self.prefix}"


def _check_decision(settings: Settings) -> None:
    refuse(not 0 < settings.alpha < 1, f"alpha: expected an error rate in (0, 1), got {settings.alpha}.")
    one_of = ("comparison", "training")
    refuse(settings.alpha_over not in one_of, f"alpha_over: expected one of {one_of}, got {settings.alpha_over!r}.")
    refuse(settings.rescore < 0, f"rescore: expected a number of epochs, got {settings.rescore}.")
    refuse(settings.rescore > 0 and settings.decide is None, "rescore= without decide=. Remedy: decide= a score.")
    if settings.decide is not None:
        refuse(settings.fake_key is not None, _NOT_BY_BATCHES.format("fake_key="))
        refuse(settings.refresh_real, _REFRESHED)


def refuse_conditional(settings: Settings, is_conditional: bool) -> None:
    """Raise ValueError where images that are decided by come batch by batch."""
    refuse(settings.decide is not None and is_conditional, _NOT_BY_BATCHES.format("a sample with a parameter `batch`"))


def _whole_numbers(given: dict[str, Any]) -> dict[str, int]:
    numbers = {name: given[name] for name in _WHOLE if name in given}
    if numbers.get("every_n_train_steps") is None:
        numbers.pop("every_n_train_steps", None)
    return dict(zip(numbers, whole(**numbers)))


def _ranges(given: dict[str, Any]) -> dict[str, tuple[float, float]]:
    value_range = given.get("value_range", Settings.value_range)
    real = check_value_range(value_range) or value_range
    return {"value_range": real, "sample_range": check_value_range(given.get("sample_range")) or real}


_WHOLE = ("num_samples", "batch_size", "every_n_epochs", "log_images", "seed", "keep", "rescore", "every_n_train_steps")
_FIXED = "refresh_real=True: a reference file has nothing to refresh."
_REFRESHED = "decide= compares epochs against the same real images, got refresh_real=True. Remedy: leave it out."
_NOT_BY_BATCHES = (
    "decide= stops generating when it is decided: expected sample= a function of n, whose images are the same on any "
    "number of ranks, got {}, which makes an image for each of a validation batch. Remedy: sample= a function of n."
)
