"""Several networks in one metric: what they share, what they are named, and how ranks, files and batches match them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
from binding_cases import close, floats
from torch import Tensor, nn

from streaming_metrics import FID, KID, PRDC, Features, GenerativeMetrics, Reference, Signature, merge_states
from streaming_metrics.core.saved_states import merged
from streaming_metrics.extractors import ModuleExtractor
from streaming_metrics.measures.intra_frechet import IntraFID
from streaming_metrics.statistics import Bank, Moments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conftest import Ranks

    from streaming_metrics import Measure

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning"),
]
PRECISIONS = "precision", "density", "coverage"
EXACT_KID = KID(subsets=None, on="b")
MEASURES = [FID(), FID(on="b"), EXACT_KID, PRDC(k=2, recall=False), PRDC(k=2, recall=False, on="b")]
KEYS = ("fd_aa", "fd_bb", "kd_bb", "kd_se_bb", *(f"{key}_{n}" for n in ("aa", "bb") for key in PRECISIONS))


class Projection(nn.Module):
    """A fixed random projection of four pixels' colours, which counts its calls."""

    def __init__(self, seed: int, width: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(12, width, generator=generator))
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1) @ self.weight


def images(role: str, number: int = 0, n: int = 20) -> Tensor:
    generator = torch.Generator().manual_seed(number + 50 * (role == "real"))
    return torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=generator)


def networks(order: str = "ab") -> dict[str, ModuleExtractor]:
    made = {"a": ModuleExtractor(Projection(0, 4), tag="aa"), "b": ModuleExtractor(Projection(1, 4), tag="bb")}
    return {name: made[name] for name in order}


def build(measures: Sequence[Measure] = MEASURES, order: str = "ab", **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(list(measures), networks(order), **options)


def filled(metric: GenerativeMetrics, *roles: str) -> GenerativeMetrics:
    for role in roles or ("real", "fake"):
        metric.update(images(role), role=role)
    return metric


def alone(measure: Measure, network: str) -> dict[str, float]:
    """Return what a metric of one network says."""
    return floats(filled(GenerativeMetrics([measure], networks()[network])).compute())


# --- values, keys, states ---------------------------------------------------------------------------------------------


def test_each_measure_has_the_value_that_it_has_of_its_network_alone() -> None:
    parts = [alone(m, n) for m, n in zip([FID(), FID(), KID(subsets=None), MEASURES[3], MEASURES[3]], "abbab")]
    expected = {key: value for part in parts for key, value in part.items()}
    metric = filled(build())
    assert floats(metric.compute()) == close(expected)
    assert metric.keys == KEYS


def test_one_batch_is_decoded_once_and_goes_once_through_each_network(monkeypatch: Any) -> None:
    from streaming_metrics.core import inputs

    decoded, convert = [], inputs.to_uint8
    monkeypatch.setattr(inputs, "to_uint8", lambda *args: decoded.append(1) or convert(*args))
    metric = build()
    modules = [module for n in metric._inputs.networks for module in n.extractor.modules()]  # pyright: ignore
    counting = [module for module in modules if isinstance(module, Projection)]
    before = [module.calls for module in counting]
    filled(metric, "real", "fake", "fake")
    assert [module.calls - calls for module, calls in zip(counting, before)] == [3, 3]
    assert len(decoded) == 3


def test_states_are_shared_by_role_network_and_statistic() -> None:
    metric = build([FID(), FID(on="b"), EXACT_KID, PRDC(k=2, on="b"), PRDC(k=2)])
    for role in ("real", "fake"):
        kept = [(slot.network, slot.statistic) for slot in metric._layout.slots[role]]
        assert sorted(str(one) for one in kept[2:]) == sorted(
            str(one) for one in [(0, Moments(4)), (1, Moments(4)), (1, Bank(4)), (0, Bank(4))]
        )


def test_names_of_a_network_alone_stand() -> None:
    several = set(build()._defaults)
    of_a = set(GenerativeMetrics([FID(), PRDC(k=2, recall=False)], networks()["a"])._defaults)
    of_b = set(GenerativeMetrics([FID(), KID(subsets=None), PRDC(k=2, recall=False)], networks()["b"])._defaults)
    assert of_a <= several
    beside = ("_count_", "_distinct_", "_torn_", "_frozen_")  # which carry the first network's digest
    assert several - of_a == {name for name in of_b if not any(part in name for part in beside)}


def test_an_alias_is_in_no_key_signature_or_name_of_a_state() -> None:
    def renamed(name: str) -> GenerativeMetrics:
        made = networks()
        return GenerativeMetrics([FID(), FID(on=name)], {"first": made["a"], name: made["b"]})

    one, other = renamed("second"), renamed("zweites")
    assert (one.keys, one.signature(), list(one._defaults)) == (other.keys, other.signature(), list(other._defaults))


def test_a_signature_names_the_networks_and_parses() -> None:
    metric = filled(build())
    metric.compute()
    line = metric.signature()
    assert str(Signature.parse(line)) == line
    first, second = (n.label for n in metric._inputs.networks)
    assert line.startswith(f"fid+fid@{second}+kid(subsets=None)@{second}+prdc(k=2,recall=False)+")
    assert f"|ext:{first}+{second}|" in line


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: build([FID(on="c")]), r"expected on= to name a network, got networks \['a', 'b'\], not 'c'"),
        (lambda: GenerativeMetrics([FID(on="a")], networks()["a"]), "got one network, without a name"),
        (lambda: GenerativeMetrics([FID()], {"a": networks()["a"], "b": networks()["a"]}), "different networks"),
        (lambda: GenerativeMetrics([FID()], {}), "expected networks by name"),
        (lambda: GenerativeMetrics([FID()], {"a b": networks()["a"]}), "expected names of letters"),
        (lambda: GenerativeMetrics([FID()], networks(), tag="x"), "each with its own options"),
        (lambda: build([FID(), FID()]), "Two measures report"),
        (lambda: filled(build()).save_reference("unused", on="c"), r"on=: expected one of the networks"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(make: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


# --- features alone ---------------------------------------------------------------------------------------------------

OF_FEATURES = [FID(), FID(on="b"), IntraFID(classes=2, on="b")]


def of_features() -> GenerativeMetrics:
    return GenerativeMetrics(OF_FEATURES, None, num_features={"a": 4, "b": 3})


def given(seed: int, n: int = 30, **columns: Tensor) -> dict[str, Features]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: Features(torch.randn(n, width, generator=generator), **columns) for name, width in (("a", 4), ("b", 3))
    }


def test_features_are_given_by_name() -> None:
    metric, labels = of_features(), torch.arange(30) % 2
    metric.update(given(0), real=True, labels=labels)
    rows = given(1)["a"].pool
    assert rows is not None
    metric.update({"b": given(1)["b"], "a": rows}, real=False, labels=labels)
    expected = {}
    for name, width in (("a", 4), ("b", 3)):
        one = GenerativeMetrics([FID()], None, num_features=width)
        for seed, real in ((0, True), (1, False)):
            one.update(given(seed)[name], real=real)
        expected[f"fd_features_{name}"] = floats(one.compute())["fd_features"]
    values = floats(metric.compute())
    assert {key: values[key] for key in expected} == close(expected)
    assert metric.keys == ("fd_features_a", "fd_features_b", "intra_fd_features_b")


LABELS = torch.arange(30) % 2
WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one missing": ({"a": torch.zeros(30, 4)}, {}, r"features of the networks \['a', 'b'\], got \['a'\]"),
    "one too many": (given(0) | {"c": torch.zeros(30, 4)}, {}, r"got \['a', 'b', 'c'\]"),
    "one for all": (torch.zeros(30, 4), {}, "Expected features of each network"),
    "Features for all": (given(0)["a"], {}, "Expected features of each network"),
    "no features": (given(0) | {"b": "text"}, {}, "b: expected Features or a tensor"),
    "width": (given(0) | {"b": torch.zeros(30, 4)}, {}, "expected pool of shape"),
    "number of rows": (given(0) | {"b": torch.zeros(29, 3)}, {}, "one row a sample"),
    "not finite": (given(0) | {"b": torch.full((30, 3), float("nan"))}, {}, "30 of 30 samples have non-finite pool"),
    "no labels": (given(0), {"labels": None}, "expected labels"),
    "labels of another number": (given(0), {"labels": LABELS[:-1]}, "one row a sample"),
    "labels that differ": (
        {"a": given(0, labels=LABELS)["a"], "b": given(0, labels=1 - LABELS)["b"]},
        {"labels": None},
        "networks with different labels",
    ),
    "ids that differ": (
        {"a": given(0, index=torch.arange(30))["a"], "b": given(0, index=torch.arange(30) + 1)["b"]},
        {},
        "networks with different index",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_features_that_do_not_belong_are_refused_and_nothing_is_added(case: str) -> None:
    batch, options, told = WRONG[case]
    metric = of_features()
    before = {name: getattr(metric, name).clone() for name in metric._defaults}
    with pytest.raises((TypeError, ValueError), match=told):
        metric.update(batch, real=True, labels=options.get("labels", LABELS))
    assert all(getattr(metric, name).equal(tensor) for name, tensor in before.items())


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two references, of a network each, and two state files of both."""
    where = tmp_path_factory.mktemp("networks")
    metric = filled(build(), "real")
    for name in "ab":
        metric.save_reference(where / f"{name}.safetensors", on=name)
    filled(build()).save_state(where / "state_0.safetensors")
    other = build()
    other.update(images("fake", 7), real=False)
    other.save_state(where / "state_1.safetensors")
    return where


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_references_are_matched_by_fingerprint(folder: Path, order: str) -> None:
    metric = build(reference=[folder / f"{name}.safetensors" for name in order])
    assert metric.is_frozen
    assert floats(filled(metric, "fake").compute()) == close(floats(filled(build()).compute()))


def test_references_that_are_missing_wrong_or_twice_are_named(folder: Path) -> None:
    a, b = (folder / f"{name}.safetensors" for name in "ab")
    first, second = (n.fingerprint for n in build()._inputs.networks)
    stranger = Reference("a-stranger", Reference.load(b).states)
    for references, told in (
        ([a], f"got none of {second!r}"),
        ([b], f"got none of {first!r}"),
        ([a, a], f"got two of {first!r}"),
        ([a, stranger], "got features of 'a-stranger'"),
        ([stranger, a], "got features of 'a-stranger'"),
        ([], "got none"),
    ):
        with pytest.raises(ValueError, match=r"reference: ") as caught:
            build(reference=references)
        assert told in str(caught.value)


def test_references_of_other_numbers_of_samples_are_refused(folder: Path, tmp_path: Path) -> None:
    metric = filled(build(), "real")
    metric.update(images("real", 1), real=True)
    metric.save_reference(tmp_path / "more.safetensors", on="b")
    with pytest.raises(ValueError, match=r"files of the same samples, got \[20, 40\]"):
        build(reference=[folder / "a.safetensors", tmp_path / "more.safetensors"])


def test_references_of_as_many_other_images_are_refused(folder: Path, tmp_path: Path) -> None:
    metric = build()
    metric.update(images("real", 1), real=True)
    metric.save_reference(tmp_path / "other.safetensors", on="b")
    with pytest.raises(ValueError, match=r"expected files of the same images.*Remedy"):
        build(reference=[folder / "a.safetensors", tmp_path / "other.safetensors"])


def test_a_network_that_no_measure_reads_needs_no_reference(folder: Path) -> None:
    assert build([FID()], reference=folder / "a.safetensors").is_frozen


def test_states_are_merged_with_and_without_networks(folder: Path) -> None:
    expected = filled(build())
    expected.update(images("fake", 7), real=False)
    files = [folder / f"state_{rank}.safetensors" for rank in range(2)]
    metric = build()
    merge_states(metric, files)
    for one in (metric, merged(files)):
        assert floats(one.compute()) == close(floats(expected.compute()))
        assert one.signature() == expected.signature()
    with pytest.raises(ValueError, match="expected features of"):
        merge_states(GenerativeMetrics([FID()], networks()["a"]), files)


def test_states_of_given_features_are_merged_without_the_metric(tmp_path: Path) -> None:
    metric = of_features()
    for seed, real in ((0, True), (1, False)):
        metric.update(given(seed), real=real, labels=LABELS)
    metric.save_state(tmp_path / "state.safetensors")
    assert floats(merged([tmp_path / "state.safetensors"]).compute()) == floats(metric.compute())


def test_frozen_sides_of_state_files_are_read_with_references(folder: Path, tmp_path: Path) -> None:
    references = [folder / f"{name}.safetensors" for name in "ab"]
    metric = filled(build(reference=references), "fake")
    metric.save_state(tmp_path / "state.safetensors")
    for options in ({}, {"reference": references}):
        assert floats(merged([tmp_path / "state.safetensors"], **options).compute()) == close(floats(metric.compute()))


def test_pickles_and_state_dicts_hold_all_networks() -> None:
    metric = filled(build(), "real")
    metric.freeze_real()
    filled(metric, "fake").persistent(True)
    other = build()
    other.load_state_dict(metric.state_dict())
    for one in (other, pickle.loads(pickle.dumps(metric))):
        assert floats(one.compute()) == close(floats(metric.compute()))


# --- ranks ------------------------------------------------------------------------------------------------------------


def on_a_rank(group: Any, freezes: bool, number: int) -> dict[str, float]:
    metric = build(process_group=group)
    metric.update(images("real", number), real=True)
    if freezes:
        metric.freeze_real()
    metric.update(images("fake", number), real=False)
    return floats(metric.compute())


@pytest.mark.parametrize("freezes", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_any_ranks_give_one_value(ranks: Ranks, world_size: int, freezes: bool) -> None:
    expected = build()
    for number in range(world_size):
        expected.update(images("real", number), real=True)
        expected.update(images("fake", number), real=False)
    for values in ranks.run(world_size, on_a_rank, freezes, each=list(range(world_size))):
        assert values == pytest.approx(floats(expected.compute()), rel=1e-6)


def refused(group: Any, measures: list[Measure], order: str) -> str:
    metric = filled(build(measures, order, process_group=group, timeout=20))
    with pytest.raises(RuntimeError, match=r"expected the same (extractor|measures) on all") as caught:
        metric.compute()
    return str(caught.value)


def test_ranks_whose_networks_are_in_another_order_refuse(ranks: Ranks) -> None:
    assert all("the same extractor" in told for told in ranks.run(2, refused, [FID()], each=["ab", "ba"]))


def crossed(group: Any, places: str) -> str:
    return refused(group, [FID(on=places[0]), KID(subsets=None, on=places[1])], "ab")


def test_ranks_whose_measures_read_other_networks_refuse(ranks: Ranks) -> None:
    assert all("the same measures" in told for told in ranks.run(2, crossed, each=["ab", "ba"]))
