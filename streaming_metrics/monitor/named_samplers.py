"""Named samplers: what a monitor's ``sample=`` gives, by names that loggers keep apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from streaming_metrics.monitor.checks import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streaming_metrics.images.image_sampler import ImageSampler

    Sample = str | Callable[..., Any]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")
NOT_LOGGED = re.compile(r"[^A-Za-z0-9_/. -]+")
"""Characters of a key that Lightning's ``MLFlowLogger`` leaves out."""


def named_samplers(sample: Sample | Mapping[str, Sample] | None) -> dict[str, Sample]:
    """Return samplers by name; one alone has none.

    Raises:
        ValueError: for no samplers, and for names that loggers refuse or do not tell apart.

    Example:
        >>> named_samplers("sample"), list(named_samplers({"cfg=1": "weak", "cfg=3": "strong"}))
        ({'': 'sample'}, ['cfg=1', 'cfg=3'])
    """
    if not isinstance(sample, Mapping):
        return {"": sample or "sample"}
    refuse(not sample, "sample=: expected samplers by name, got an empty mapping. Remedy: {'cfg=3': function}.")
    for name in sample:
        _refuse_name(name)
    _refuse_alike({name: NOT_LOGGED.sub("", name) for name in sample})
    return dict(sample)


def refuse_mixed(samplers: Iterable[ImageSampler], model: Any) -> None:
    """Raise ValueError where some samplers of a model take a batch and others do not."""
    takes_batch = {sampler.source: sampler.is_conditional(model) for sampler in samplers}
    refuse(
        len(set(takes_batch.values())) > 1,
        f"sample=: expected a parameter `batch` of all samplers or of none, got {takes_batch}: their images would not "
        "be of the same seeds. Remedy: a monitor of each kind.",
    )


def _refuse_name(name: Any) -> None:
    refuse(
        not (isinstance(name, str) and NAME.fullmatch(name)),
        f"sample=: expected names of letters, digits and . _ - = +, which begin with a letter or digit, got {name!r}: "
        "loggers refuse others. Remedy: another name.",
    )


def _refuse_alike(logged: Mapping[str, str]) -> None:
    alike = [name for name, told in logged.items() if list(logged.values()).count(told) > 1]
    refuse(
        bool(alike),
        f"sample=: {', '.join(alike)} are one name to MLFlowLogger, which leaves = and + out. Remedy: other names.",
    )
