"""Inputs of an update: images through the networks, or features as they are, checked before any state is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from streaming_metrics.core.arrival import arriving
from streaming_metrics.deferred import require
from streaming_metrics.features import ANY_WIDTH, SAMPLE_COLUMNS, Features
from streaming_metrics.images.conversion import CheckedImages, checked_range, to_uint8
from streaming_metrics.statistics.base import LARGEST
from streaming_metrics.statistics.captions import caption_hashes, hashed_texts, texts_in
from streaming_metrics.statistics.hashes import hashes_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from streaming_metrics.core.networks import Network
    from streaming_metrics.extractors.base import Extractor

SUMS_TO_ONE = 1e-3
"""How far the probabilities of a row may be from adding up to 1, in half precision too."""
LOST = 2.0**-6
"""Share of their spread by which rounding may move samples against each other."""

Given: TypeAlias = "Tensor | CheckedImages | Features | Mapping[str, Tensor | Features]"
"""What users may give to ``update``: images, features, or features of several networks by name."""
Columns: TypeAlias = dict[str, Tensor]
Needs: TypeAlias = Mapping[str, bool]
"""Columns that are needed of a network, and whether they will be rounded to float32."""


@dataclass(frozen=True)
class InputPipeline:
    """Turns what a user gives to ``update`` into checked features of each network.

    Args:
        networks: in their order.
        value_range: what floats stand for black and white, ``(0, 1)`` or ``(-1, 1)``; None takes uint8 only.
    """

    networks: tuple[Network, ...]
    value_range: tuple[float, float] | None = None

    def __call__(
        self, given: Given, needs: Sequence[Needs], where: str, beside: Mapping[str, Any] | None = None
    ) -> list[Columns]:
        """Return the columns of each network's features, of the same samples.

        Args:
            given: images, or features; several networks' by name.
            needs: of each network.
            where: names the role and the batch in errors.
            beside: columns of the samples that were given apart, by name; captions, as of features, may be texts, which
                reach the networks that read them.

        Raises:
            TypeError, ValueError: where images or features are not as expected, not finite, or lost in float32.
        """
        texts = texts_in((beside or {}).get("captions"))
        if texts is None and isinstance(given, CheckedImages) and given.captions is not None:
            texts = list(given.captions)
        beside = _hashed(beside or {})
        if texts is not None:
            _check_hashes(texts, [beside, given.columns if isinstance(given, CheckedImages) else {}], where)
        given_columns = [{**_hashed(columns), **beside} for columns in self._columns(given, needs, texts)]
        checked: dict[tuple[int, str], Tensor] = {}
        for place, (network, columns, needed) in enumerate(zip(self.networks, given_columns, needs)):
            for column in needed:
                if column not in SAMPLE_COLUMNS:
                    _refuse_without_captions(network, columns, column, where)
                    checked[place, column] = _checked(columns.get(column), column, network.spec.width(column), where)
        found = _of_the_same_samples(given_columns, where)
        for columns, needed in zip(found, needs):
            for column in SAMPLE_COLUMNS:
                if column in needed:
                    _check_sample_column(columns.get(column), column, where)
            if len({len(rows) for rows in columns.values()}) > 1:
                raise ValueError(f"{where}: {', '.join(columns)} must have one row a sample.")
        rounded = {(place, c) for place, n in enumerate(needs) for c, rounds in n.items() if rounds}
        for (place, column), rows in _check_values(checked, rounded, where).items():
            found[place][column] = rows
        return found

    def _columns(self, given: Given, needs: Sequence[Needs], texts: Sequence[str] | None) -> list[Columns]:
        """Return the columns of each network, of images or as they were given."""
        if isinstance(given, Mapping):
            return [features.columns() for features in self._by_name(given)]
        if not isinstance(given, Features):
            return self._extracted(given, needs, texts)
        if len(self.networks) > 1:
            raise self._unnamed("Features")
        return [given.columns()]

    def _extracted(
        self, given: Tensor | CheckedImages, needs: Sequence[Needs], texts: Sequence[str] | None
    ) -> list[Columns]:
        first = self.networks[0]
        if first.extractor is not None:
            device = first.extractor.device
            takes, span = first.extractor.takes, self.value_range
            checked = given if isinstance(given, CheckedImages) else CheckedImages(to_uint8(given, span, takes))
            for check in checked.checks:
                require(*check)
            hashed = {} if texts is None else {"captions": caption_hashes(texts)}
            with arriving(checked.pixels, device) as pixels:
                images = CheckedImages(pixels)
                beside = {**hashed, **checked.columns, "hashes": hashes_of(pixels)}
                return [
                    {**n.extractor(images, _read_by(n.extractor, needed, texts)).columns(), **beside}
                    for n, needed in zip(self.networks, needs)
                    if n.extractor is not None
                ]
        if not isinstance(given, Tensor):
            raise TypeError(f"Expected a tensor of features (N, D) or Features, got {type(given).__name__}.")
        if len(self.networks) > 1:
            raise self._unnamed("a tensor")
        return [{"pool" if first.spec.num_features is not None else "logits": given}]

    def _by_name(self, given: Mapping[str, Any]) -> list[Features]:
        names = [network.name for network in self.networks]
        if set(given) != set(names) or not any(names):
            raise ValueError(f"Expected features of the networks {names}, got {sorted(map(str, given))}.")
        found = []
        for network in self.networks:
            one = given[network.name]
            if isinstance(one, Tensor):
                one = Features(pool=one) if network.spec.num_features is not None else Features(logits=one)
            if not isinstance(one, Features):
                raise TypeError(f"{network.name}: expected Features or a tensor (N, D), got {type(one).__name__}.")
            found.append(one)
        return found

    def _unnamed(self, what: str) -> Exception:
        names = ", ".join(f"{network.name!r}: …" for network in self.networks)
        return TypeError(f"Expected features of each network, {{{names}}}, got {what}.")


def _read_by(extractor: Extractor, needed: Needs, texts: Sequence[str] | None) -> Sequence[str] | None:
    """Return the texts that an extractor is to read: none where no measure reads what it makes of them."""
    return texts if not needed.keys().isdisjoint(extractor.of_captions) else None


def _refuse_without_captions(network: Network, columns: Columns, column: str, where: str) -> None:
    extractor = network.extractor
    if extractor is not None and column in extractor.of_captions and column not in columns:
        raise ValueError(
            f"{where}: expected captions, a text an image, of which {extractor.name} makes {column!r}, got none; "
            "nothing was added. Remedy: update(images, captions=[str, …]), texts and not their hashes, in every batch."
        )


def _check_hashes(texts: Sequence[str], beside: Iterable[Mapping[str, Any]], where: str) -> None:
    """Raise ValueError where captions came as texts, which networks read, and as hashes of others."""
    expected = caption_hashes(texts)
    for columns in beside:
        given = columns.get("captions")
        if isinstance(given, Tensor) and not torch.equal(given.cpu(), expected):
            raise ValueError(
                f"{where}: expected captions once, got texts and the hashes of others; nothing was added. Remedy: the "
                "texts alone."
            )


def _hashed(columns: Mapping[str, Any]) -> Columns:
    """Return columns with hashes of captions that came as texts."""
    return {name: hashed_texts(column) if name == "captions" else column for name, column in columns.items()}


def _of_the_same_samples(found: list[Columns], where: str) -> list[Columns]:
    """Return the networks' columns, each with those of the samples: hashes are made where none came."""
    shared: Columns = {}
    for columns in found:
        named = {name: columns[name] for name in SAMPLE_COLUMNS if name in columns}
        _check_agree(shared, named, where)
        shared = named | shared
    hashes = shared.get("hashes")
    if hashes is None:
        rows = _rows_to_hash(found)
        if rows is not None:
            shared["hashes"] = hashes_of(rows)
    elif not isinstance(hashes, Tensor) or hashes.dtype != torch.int64 or hashes.ndim != 1:
        raise TypeError(f"{where}: expected int64 hashes (N,), got others. Remedy: leave them out, and they are made.")
    return [{**columns, **shared} for columns in found]


def _rows_to_hash(found: Iterable[Columns]) -> Tensor | None:
    """Return what tells samples apart: the first pool or logits, else all columns that networks have."""
    rows = next((columns[name] for columns in found for name in ("pool", "logits") if name in columns), None)
    if rows is not None:
        return rows
    others = [rows for columns in found for name, rows in sorted(columns.items()) if name not in SAMPLE_COLUMNS]
    others = [rows for rows in others if isinstance(rows, Tensor) and rows.ndim == 2 and len(rows) == len(others[0])]
    return torch.cat(others, dim=1) if others else None


def _check_agree(first: Mapping[str, Any], second: Mapping[str, Any], where: str) -> None:
    """Raise ValueError where two networks' features say different things of the samples; hashes may differ."""
    for name in first.keys() & second.keys() - {"hashes"}:
        one, other = first[name], second[name]
        if one is not other:
            require(_are_equal(one, other), partial(_of_other_samples, name, where))


def _are_equal(one: Any, other: Any) -> Tensor:
    """Return bool ``()``: whether two columns are tensors of the same values."""
    if isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape:
        return (one == other).all()
    return torch.tensor(False, device="cpu")


def _of_other_samples(name: str, where: str) -> Exception:
    return ValueError(
        f"{where}: expected features of the same samples, got networks with different {name}; nothing was added. "
        f"Remedy: the same samples in the same order, and {name}= once."
    )


def _checked(rows: Any, column: str, width: int | None, where: str) -> Tensor:
    if rows is None:
        raise ValueError(f"{where}: expected {column} (N, {width}), got none. Remedy: update(Features({column}=…, …)).")
    if not isinstance(rows, Tensor) or not rows.is_floating_point():
        raise TypeError(
            f"{where}: expected floating-point {column}, got {getattr(rows, 'dtype', type(rows).__name__)}."
        )
    if rows.ndim != 2 or rows.shape[1] != width != ANY_WIDTH:
        raise ValueError(
            f"{where}: expected {column} of shape (N, {width}), got {tuple(rows.shape)}. "
            "Remedy: give the metric the width of these features, or features of that width."
        )
    return rows


def _check_sample_column(rows: Any, column: str, where: str) -> None:
    if rows is None:
        raise ValueError(
            f"{where}: expected {column}, int64 (N,), got none; nothing was added. Remedy: update(…, {column}=…), in "
            "every batch."
        )
    if not isinstance(rows, Tensor) or rows.dtype != torch.int64 or rows.ndim != 1:
        got = f"{rows.dtype} {tuple(rows.shape)}" if isinstance(rows, Tensor) else type(rows).__name__
        remedy = f"{column}.long().flatten()" + (", or a list of texts" if column == "captions" else "")
        raise TypeError(f"{where}: expected {column}, int64 (N,), got {got}. Remedy: {remedy}.")


def _check_values(columns: Mapping[Any, Tensor], rounded: Collection[Any], where: str) -> dict[Any, Tensor]:
    """Raise ValueError unless all columns are finite, and survive float32 where they are ``rounded`` to it.

    Returns those that a device is still to check, finite: samples that are not are zeros in a copy.

    Args:
        columns: rows by ``(network, column)``.
        rounded: which of them will be rounded.
        where: names the role and the batch.
    """
    usable = {column: rows.abs().amax(1) < LARGEST for column, rows in columns.items()}
    flags = [rows.all() for rows in usable.values()]
    flags += [_survives_float32(columns[column]) for column in rounded if columns[column].dtype == torch.float64]
    scores = [~_are_probabilities(rows) for column, rows in columns.items() if column[1] == "logits"]
    if not flags:
        return {}
    holds = torch.stack([flag.to(flags[0].device, non_blocking=True) for flag in [*flags, *scores]]).all()
    if not require(holds, partial(_what_is_wrong, usable, scores, where)):
        return {}
    return {column: rows.where(usable[column].unsqueeze(1), 0) for column, rows in columns.items()}


def _what_is_wrong(usable: Mapping[Any, Tensor], scores: Iterable[Tensor], where: str) -> Exception:
    """Return what is wrong with a batch's values: which are usable, by column, and whether logits are scores."""
    for column, rows in usable.items():
        if not rows.all():
            return ValueError(
                f"{where}: {int((~rows).sum())} of {len(rows)} samples have non-finite {column[1]} "
                f"(or beyond {LARGEST:g}); nothing was added. "
                "Remedy: look for NaN in the generator's images or the extractor's precision."
            )
    if not all(scores):
        return ValueError(
            f"{where}: expected logits, got rows that are not negative and add up to 1, as probabilities do; nothing "
            "was added. Remedy: give what the network yields before its softmax, or the probabilities' logarithm."
        )
    return ValueError(
        f"{where}: the differences between these float64 samples are lost in float32, in which KID, PRDC and "
        "FID(se=True) keep features; nothing was added. Remedy: subtract one constant from the features of both "
        "sides, so that their mean is at most 100,000 times their spread; or scale both alike into float32's range."
    )


def _are_probabilities(rows: Tensor) -> Tensor:
    """Return bool ``()``: whether rows of logits are probabilities, of which a softmax would make something else."""
    if not rows.numel() or rows.shape[1] == 1:
        return rows.new_zeros((), dtype=torch.bool)
    return (rows >= 0).all() & ((rows.sum(1, dtype=torch.float64) - 1).abs() <= SUMS_TO_ONE).all()


def _survives_float32(rows: Tensor) -> Tensor:
    """Return bool ``()``: whether rounding moves samples against each other by less than a share of their spread."""
    if not len(rows):
        return rows.new_ones((), dtype=torch.bool)
    moved = rows - rows.float()
    return (moved - moved.mean(0)).abs().sum() <= LOST * (rows - rows.mean(0)).abs().sum()


def check_value_range(value_range: Iterable[float] | str | None) -> tuple[float, float] | None:
    """Return ``value_range``, a list or ``"0,1"`` too, as a tuple; raise ValueError unless two ascending numbers."""
    if value_range is None:
        return None
    try:
        low, high = map(float, value_range.split(",") if isinstance(value_range, str) else value_range)
        return checked_range((low, high))
    except (TypeError, ValueError):
        raise ValueError(
            f"value_range: expected (0, 1), (-1, 1) or None for uint8 images, got {value_range!r}. "
            "Remedy: two numbers, low < high."
        ) from None
