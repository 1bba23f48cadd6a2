"""Networks that measures bring: which one a measure reads, and how states, keys, signatures and files name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from binding_cases import close, floats
from conftest import draw_features
from test_networks import Projection, images

from streaming_metrics import (
    FID,
    PRDC,
    Features,
    GenerativeMetrics,
    ImageStatistics,
    SharpnessDifference,
    Signature,
    merge_states,
)
from streaming_metrics.core.saved_states import merged
from streaming_metrics.extractors import LowLevel, ModuleExtractor

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning"),
]
MEASURES = [FID(), PRDC(k=2), ImageStatistics(), SharpnessDifference()]
COLUMNS = ("luminance", "contrast", "colourfulness", "sharpness", "spectrum_slope", "gradients")
SHARPNESS = ("sharpness_difference", "sharpness_excess")
OF_PIXELS = tuple(f"{key}_pixels" for key in (*COLUMNS, *SHARPNESS))


def network(tag: str = "aa") -> ModuleExtractor:
    return ModuleExtractor(Projection(0, 4), tag=tag)


def build(measures: Any = MEASURES, extractor: Any = None, **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(measures, network() if extractor is None else extractor, **options)


def filled(metric: GenerativeMetrics, *roles: str) -> GenerativeMetrics:
    for role in roles or ("real", "fake"):
        metric.update(images(role), role=role)
    return metric


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_measure_brings_its_network_beside_that_of_others() -> None:
    metric = filled(build())
    assert metric.networks == ("aa", "low-level")
    assert metric.keys == (*(f"{key}_aa" for key in ("fd", "precision", "recall", "density", "coverage")), *OF_PIXELS)
    alone = [filled(build(MEASURES[:2])), filled(build(MEASURES[2:], "low-level"))]
    assert floats(metric.compute()) == close({k: v for one in alone for k, v in floats(one.compute()).items()})


EXTRACTORS: dict[str, Any] = {
    "by the name of the extractor": lambda: {"a": network(), "pixels": LowLevel()},
    "by the name that the user gave": lambda: {"a": network(), "low-level": LowLevel()},
    "as the first": lambda: {"pixels": "low-level", "a": network()},
}


@pytest.mark.parametrize("extractor", EXTRACTORS.values(), ids=EXTRACTORS)
def test_what_is_there_is_read(extractor: Any) -> None:
    metric = filled(build(MEASURES[2:], extractor()))
    assert metric.networks == tuple(extractor())
    assert floats(metric.compute()) == close(floats(filled(build(MEASURES[2:], "low-level")).compute()))


def test_alone_it_has_no_name() -> None:
    assert build(MEASURES[2:], "low-level").networks == build([FID()]).networks == ()


class Dimmed(LowLevel):
    """Low-level statistics of images half as bright: another network, with the same columns."""

    name, tag = "dimmed", "dimmed"

    def extract(self, images: Tensor) -> Features:
        return super().extract(images // 2)


def test_on_overrides() -> None:
    extractor = {"a": network(), "dim": Dimmed()}
    metric = filled(build([ImageStatistics(on="dim"), ImageStatistics(bins=64)], extractor))
    assert metric.networks == ("a", "dim", "low-level")
    values = floats(metric.compute())
    assert {key.rpartition("_")[2] for key in values} == {"dimmed", "pixels"}
    assert 0.3 < values["contrast_dimmed"] / values["contrast_pixels"] < 0.8
    with pytest.raises(ValueError, match=r"expected on= to name a network, got networks \['a'\], not 'low-level'"):
        build([ImageStatistics(on="low-level")], {"a": network()})


def test_one_that_the_user_names_so_is_taken_for_it() -> None:
    metric = filled(build([ImageStatistics()], {"a": network(), "low-level": Dimmed()}))
    assert metric.networks == ("a", "low-level")
    assert metric.keys[0] == "luminance_dimmed"


def test_a_networks_options_are_those_of_the_first() -> None:
    metric = GenerativeMetrics(MEASURES, torch.nn.Flatten(), tag="rows", num_features=192, precision="bf16")
    assert metric.networks == ("rows", "low-level")
    assert "|bf16+fp32|" in metric.signature()


def test_a_measures_network_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageStatistics, "network", "high-level")
    with pytest.raises(ValueError, match=r"Unknown extractor 'high-level'. Did you mean 'low-level'"):
        build()


# --- what stays as it is ----------------------------------------------------------------------------------------------


def test_names_of_other_measures_states_stand() -> None:
    before, several = build(MEASURES[:2]), build()
    beside = set(build(MEASURES[2:], "low-level")._defaults)
    assert set(before._defaults) <= set(several._defaults)
    always = ("_count_", "_distinct_", "_torn_", "_frozen_")  # which carry the first network's digest
    added = {name for name in beside if not any(part in name for part in always)}
    assert set(several._defaults) - set(before._defaults) == added


def test_a_signature_names_each_network_and_parses() -> None:
    metric = filled(build())
    metric.compute()
    line, first = metric.signature(), network().label
    assert line.startswith(
        f"fid+prdc(k=2)+low_level@low-level-1+sharpness_difference@low-level-1|ext:{first}+low-level-1|"
    )
    assert str(Signature.parse(line)) == line
    assert filled(build(MEASURES[:2])).signature().startswith(f"fid+prdc(k=2)|ext:{first}|resize:native|")


def test_measures_without_a_network_of_their_own_bring_none() -> None:
    assert build(MEASURES[:2]).networks == ()
    assert build(MEASURES[:2], {"a": network(), "b": Dimmed()}).networks == ("a", "b")


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("own")
    metric = filled(build(), "real")
    metric.save_reference(where / "a")
    metric.save_reference(where / "low", on="low-level")
    filled(build()).save_state(where / "state")
    return where


def test_references_are_a_file_of_each_in_any_order(folder: Path) -> None:
    expected = floats(filled(build()).compute())
    for files in (["a", "low"], ["low", "a"]):
        metric = build(reference=[folder / file for file in files])
        assert floats(filled(metric, "fake").compute()) == close(expected)


def test_a_network_without_its_file_is_named_with_the_remedy(folder: Path) -> None:
    told = r"got none of 'low-level-1\|pool\|native\|fp32'. Remedy: .* save_reference\(…, on='low-level'\)"
    with pytest.raises(ValueError, match=told):
        build(reference=folder / "a")


def test_moments_of_columns_are_no_features_of_an_npz(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected moments of at least 2 samples"):
        filled(build(), "real").save_reference(tmp_path / "low.npz", on="low-level")


def test_a_state_says_which_networks_it_is_of(folder: Path) -> None:
    expected = filled(build())
    metric = build()
    merge_states(metric, [folder / "state"])
    for one in (metric, merged([folder / "state"])):
        assert floats(one.compute()) == floats(expected.compute())
        assert one.keys == expected.keys


# --- features as they are ---------------------------------------------------------------------------------------------

WIDTHS = {"gradients": 5, **dict.fromkeys(COLUMNS[:-1], 1)}


def test_given_columns_are_read_off_the_one_network() -> None:
    metric = GenerativeMetrics([ImageStatistics()], None, widths=WIDTHS)
    for seed, real in ((1, True), (2, False)):
        metric.update(draw_features(seed), real=real)
    beside = GenerativeMetrics([FID(), ImageStatistics()], None, num_features=6, widths=WIDTHS)
    for seed, real in ((1, True), (2, False)):
        beside.update(draw_features(seed), real=real)
    assert metric.keys == tuple(f"{key}_features" for key in COLUMNS)
    values = floats(beside.compute())
    assert floats(metric.compute()) == {key: values[key] for key in metric.keys}


@pytest.mark.parametrize("name", ["low-level", "pixels"])
def test_given_columns_are_read_off_the_network_of_that_name_or_of_on(name: str) -> None:
    measure = ImageStatistics(on=None if name == "low-level" else name)
    metric = GenerativeMetrics([FID(), measure], None, num_features={"a": 6}, widths={name: WIDTHS})
    for seed, real in ((1, True), (2, False)):
        metric.update(
            {"a": draw_features(seed + 5).having(labels=None, captions=None), name: draw_features(seed)}, real=real
        )
    alone = GenerativeMetrics([ImageStatistics()], None, widths=WIDTHS)
    for seed, real in ((1, True), (2, False)):
        alone.update(draw_features(seed), real=real)
    of_name = [value for key, value in floats(metric.compute()).items() if key != "fd_features_a"]
    assert of_name == list(floats(alone.compute()).values())


def test_a_state_of_given_columns_is_read_without_the_metric(tmp_path: Path) -> None:
    several = GenerativeMetrics([FID(), ImageStatistics()], None, num_features={"a": 6}, widths={"low-level": WIDTHS})
    one = GenerativeMetrics([ImageStatistics()], None, widths=WIDTHS)
    for seed, real in ((1, True), (2, False)):
        several.update({"a": draw_features(seed), "low-level": draw_features(seed)}, real=real)
        one.update(draw_features(seed), real=real)
    for metric in (several, one):
        metric.save_state(tmp_path / "state")
        assert floats(merged([tmp_path / "state"]).compute()) == floats(metric.compute())


def test_samples_of_columns_alone_are_told_apart() -> None:
    metric = GenerativeMetrics([ImageStatistics()], None, widths=WIDTHS)
    given = {name: column for name, column in draw_features(1).columns().items() if name in WIDTHS}
    metric.update(Features(**given), real=True)
    metric.update(Features(**given), real=True)
    metric.update(Features(**given), real=False)
    with pytest.warns(match="80 real samples, 40 of them distinct"):
        metric.compute()


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "none of that name": (
        {"num_features": {"a": 6, "b": 6}},
        ValueError,
        r"expected features of 'low-level', got networks \['a', 'b'\] without a column 'gradients'. Remedy: .*widths=",
    ),
    "no columns": ({"num_features": 6}, ValueError, "got networks .'features-6'. without a column 'gradients'"),
    "no widths": ({"widths": 5}, TypeError, "widths: expected widths by column"),
    "half by name": ({"num_features": 6, "widths": {"a": WIDTHS}}, TypeError, "expected all by the networks' names"),
    "pool": ({"num_features": 6, "widths": {"pool": 4}}, ValueError, "widths: .* got 'pool'. Remedy: num_features=4"),
    "logits": ({"widths": {"a": {"logits": 4}}}, ValueError, "widths: .* got 'logits'. Remedy: num_classes=4"),
    "no column": ({"widths": {"labels": 1}}, ValueError, "column: expected a network's column, got 'labels'"),
    "no width": ({"widths": {"gradients": 0}}, ValueError, "widths of gradients: expected at least 1, got 0"),
}


@pytest.mark.parametrize(("options", "error", "told"), REFUSED.values(), ids=REFUSED)
def test_columns_that_are_not_there_are_refused(options: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        GenerativeMetrics([ImageStatistics()], None, **options)


def test_a_network_that_nothing_reads_is_not_loaded_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming_metrics.extractors.inception.load_weights", lambda *_: pytest.fail("loaded"))
    metric = filled(GenerativeMetrics(MEASURES[2:]))
    assert floats(metric.compute()) == close(floats(filled(build(MEASURES[2:], "low-level")).compute()))
    assert metric.signature() == filled(build(MEASURES[2:], "low-level")).signature()
    with pytest.raises(pytest.fail.Exception, match="loaded"):
        GenerativeMetrics(MEASURES)
    with pytest.raises(pytest.fail.Exception, match="loaded"):
        GenerativeMetrics(MEASURES[2:], resize="clean")
