"""Files and imports from before the layout changed: the same values, the same signatures, the same names.

``data/before_house.zip`` was written by the version of commit 2bd321e, with public names alone, from the features and
images of its ``inputs.safetensors``: 60 real and 50 generated rows of width 8 in steps of one half, whose products
float32 holds exactly, whatever the machine. Real rows had the ids 59, 58, … 0 where a reference was saved, else none
were given. Batches were ``[0:33], [33:60]`` and ``[0:21], [21:50]``; of two ranks one each, ``[0:41], [41:60]`` and
``[0:7], [7:50]``. ``data/before_house.json`` holds what that version then read from each file of the tables below.
"""

from __future__ import annotations

import importlib
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from extractor_table import Pixels
from safetensors.torch import load_file

from streaming_metrics import FID, PRDC, Features, GenerativeMetrics, Signature, load_reference, merge_states
from streaming_metrics.extractors import ModuleExtractor
from streaming_metrics.image import FrechetInceptionDistance

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ranks

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore:The .npz does not say"),
]

DATA = Path(__file__).parent / "data"
WIDTH, CLASSES = 8, 5
KID = "kid(subsets=5,subset_size=8)"
ALL = f"fid,{KID},is(splits=3),prdc(k=3)"
OF_BOTH = f"fid,{KID},prdc(k=3)"
RESERVOIR = "fid,kid(subsets=5,subset_size=8,capacity=16),prdc(k=3,capacity=16)"
AGAINST = "fid,prdc(k=3,recall=False)"
IMPROVED = "prdc(variant=improved,k=2,f1=True,capacity=16)"


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the files, unpacked."""
    folder = tmp_path_factory.mktemp("before_house")
    with zipfile.ZipFile(DATA / "before_house.zip") as archive:
        archive.extractall(folder)
    return folder


def build(measures: str, **options: Any) -> GenerativeMetrics:
    classes = CLASSES if "is(" in measures else None
    return GenerativeMetrics(measures, extractor=None, num_features=WIDTH, num_classes=classes, **options)


def of_pixels(**options: Any) -> GenerativeMetrics:
    return GenerativeMetrics([FID(), PRDC(k=2)], ModuleExtractor(Pixels(), tag="pixels"), **options)


def add_fakes(metric: GenerativeMetrics, folder: Path) -> None:
    given = load_file(folder / "inputs.safetensors")
    for rows in (slice(0, 21), slice(21, 50)):
        metric.update(Features(given["fake"][rows], given["logits"][rows]), real=False)


def add_reals(metric: GenerativeMetrics, folder: Path) -> None:
    given = load_file(folder / "inputs.safetensors")
    for rows in (slice(0, 33), slice(33, 60)):
        metric.update(Features(given["real"][rows]), real=True)


# --- ways in which users read a file back -----------------------------------------------------------------------------


def as_reference(folder: Path, name: str, measures: str) -> GenerativeMetrics:
    metric = build(measures, reference=folder / name)
    add_fakes(metric, folder)
    return metric


def as_loaded_reference(folder: Path, name: str, measures: str) -> GenerativeMetrics:
    metric = build(measures, reference=load_reference(folder / name))
    add_fakes(metric, folder)
    return metric


def as_reference_of_pixels(folder: Path, name: str, _measures: str) -> GenerativeMetrics:
    metric = of_pixels(reference=folder / name)
    metric.update(load_file(folder / "inputs.safetensors")["fake_images"], real=False)
    return metric


def merged(folder: Path, name: str, measures: str) -> GenerativeMetrics:
    metric = build(measures)
    merge_states(metric, [folder / name])
    return metric


def merged_pair(folder: Path, name: str, measures: str, **options: Any) -> GenerativeMetrics:
    metric = build(measures, **options)
    merge_states(metric, [folder / name.format(rank) for rank in range(2)])
    return metric


def merged_of_pixels(folder: Path, name: str, _measures: str) -> GenerativeMetrics:
    metric = of_pixels()
    merge_states(metric, [folder / name])
    return metric


def merged_with_reference(folder: Path, name: str, measures: str) -> GenerativeMetrics:
    metric = build(measures, reference=folder / "reference.safetensors")
    merge_states(metric, [folder / name])
    return metric


def merged_once_frozen(folder: Path, name: str, measures: str) -> GenerativeMetrics:
    metric = build(measures)
    add_reals(metric, folder)
    metric.freeze_real()
    before = tensors_of(folder / name)
    for slot, tensor in metric.metric_state.items():
        if slot.startswith("real_moments") and slot in before and not torch.equal(tensor, before[slot]):
            torch.testing.assert_close(tensor, before[slot], rtol=1e-12, atol=1e-12)
            pytest.skip("this processor rounds sums otherwise than the one that wrote the file: not the same real side")
    merge_states(metric, [folder / name])
    return metric


def tensors_of(path: Path) -> dict[str, Any]:
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)


def loaded(folder: Path, name: str, measures: str, **options: Any) -> GenerativeMetrics:
    metric = build(measures, **options)
    metric.load_state_dict(tensors_of(folder / name))
    return metric


def loaded_real(folder: Path, name: str, measures: str) -> GenerativeMetrics:
    metric = loaded(folder, name, measures)
    add_fakes(metric, folder)
    return metric


def loaded_with_reference(folder: Path, name: str, measures: str) -> GenerativeMetrics:
    metric = build(measures, reference=folder / "reference.safetensors")
    metric.load_state_dict(tensors_of(folder / name))
    return metric


def loaded_drop_in(folder: Path, name: str, _measures: str) -> GenerativeMetrics:
    metric = FrechetInceptionDistance(feature=Pixels())
    metric.load_state_dict(tensors_of(folder / name))
    return metric


@dataclass(frozen=True)
class Case:
    """A file, how it is read back, and the measures that are asked of it."""

    file: str
    read: Callable[..., GenerativeMetrics]
    measures: str = ""
    is_frozen: bool = False

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.file.format("*", own="*"), self.read.__name__, self.measures) if part)


CASES = [
    *(
        Case("reference.safetensors", as_reference, measures, is_frozen=True)
        for measures in [OF_BOTH, "fid", KID, "prdc(k=3)", AGAINST, "prdc(k=4)"]
    ),
    Case("reference.safetensors", as_loaded_reference, OF_BOTH, is_frozen=True),
    Case("reference_half.safetensors", as_reference, OF_BOTH, is_frozen=True),
    Case("reference_half.safetensors", as_reference, AGAINST, is_frozen=True),
    Case("reference_reservoir.safetensors", as_reference, RESERVOIR, is_frozen=True),
    Case("reference_reduced.safetensors", as_reference, RESERVOIR, is_frozen=True),
    Case("reference_moments.safetensors", as_reference, "fid", is_frozen=True),
    Case("reference.npz", as_reference, "fid", is_frozen=True),
    Case("foreign.npz", as_reference, "fid", is_frozen=True),
    Case("reference_pixels.safetensors", as_reference_of_pixels, is_frozen=True),
    Case("state.safetensors", merged, ALL),
    Case("state.safetensors", loaded, ALL),
    Case("state_improved.safetensors", merged, IMPROVED),
    Case("state_pixels.safetensors", merged_of_pixels),
    Case("state_of_rank{}.safetensors", merged_pair, ALL),
    Case("state_frozen.safetensors", loaded, ALL, is_frozen=True),
    Case("state_frozen.safetensors", merged_once_frozen, ALL, is_frozen=True),
    Case("state_against.safetensors", merged_with_reference, AGAINST, is_frozen=True),
    Case("state_against.safetensors", loaded_with_reference, AGAINST, is_frozen=True),
    Case("state_dict.pt", loaded, ALL),
    Case("state_dict_frozen.pt", loaded, ALL, is_frozen=True),
    Case("state_dict_frozen_real.pt", loaded_real, ALL, is_frozen=True),
    Case("state_dict_against.pt", loaded_with_reference, AGAINST, is_frozen=True),
    Case("state_dict_drop_in.pt", loaded_drop_in),
]

ON_TWO_RANKS = [
    Case("state_sharded_rank{own}.safetensors", loaded, ALL, is_frozen=True),
    Case("state_of_rank{}.safetensors", merged_pair, ALL),
]


def told(metric: GenerativeMetrics) -> dict[str, Any]:
    """Return what is compared: values by key, and the signature, whose version may differ."""
    values: Any = metric.compute()  # of a drop-in a tensor
    values = values if isinstance(values, dict) else {"fid": values}
    signature = str(replace(Signature.parse(metric.signature()), version="0"))
    return {
        "values": {key: value.item() for key, value in values.items()},
        "signature": signature,
        "is_frozen": metric.is_frozen,
    }


def told_on_a_rank(group: Any, case: Case, folder: Path, rank: int) -> dict[str, Any]:
    """Return what a rank tells: of its own file, or of its share of both."""
    return told(case.read(folder, case.file.replace("{own}", str(rank)), case.measures, process_group=group))


KERNEL_TOLERANCE = 1e-6  # kernels are cubes of float32 products, and sums of them depend on which rank holds which rows


def check(got: dict[str, Any], name: str) -> None:
    expected = json.loads((DATA / "before_house.json").read_text())[name]
    assert got["values"].keys() == expected["values"].keys()
    for key, value in expected["values"].items():
        assert got["values"][key] == pytest.approx(value, rel=KERNEL_TOLERANCE if key.startswith("kd") else 1e-12), key
    assert got["signature"] == expected["signature"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_written_before_gives_the_same_values_and_signature(case: Case, before: Path) -> None:
    got = told(case.read(before, case.file, case.measures))
    assert got["is_frozen"] is case.is_frozen
    check(got, case.name)


@pytest.mark.parametrize("case", ON_TWO_RANKS, ids=lambda case: case.name)
@pytest.mark.slow
def test_files_of_two_ranks_give_the_same_values_on_two_ranks(case: Case, before: Path, ranks: Ranks) -> None:
    for got in ranks.run(2, told_on_a_rank, case, before, each=[0, 1]):
        assert got["is_frozen"] is case.is_frozen
        check(got, f"two ranks {case.name}")


def test_the_table_covers_every_file(before: Path) -> None:
    read = {case.file.format(rank, own=rank) for case in [*CASES, *ON_TWO_RANKS] for rank in range(2)}
    assert {path.name for path in before.iterdir()} == read | {"inputs.safetensors"}


def test_every_signature_of_before_parses() -> None:
    lines = {told["signature"] for told in json.loads((DATA / "before_house.json").read_text()).values()}
    assert len(lines) > 10
    assert {str(Signature.parse(line)) for line in lines} == lines


def test_a_reference_says_of_itself_what_it_said(before: Path) -> None:
    reference = load_reference(before / "reference.safetensors")
    assert (reference.num_samples, reference.fingerprint) == (60, f"features-{WIDTH}-None")
    about = {key: reference.about[key] for key in ("data", "left_out", "num_samples", "half", "extractor")}
    extractor = {"features": WIDTH, "classes": None}
    assert about == {"data": "a data set", "left_out": 2, "num_samples": 60, "half": False, "extractor": extractor}
    assert reference.about["measures"] == ["fid", "kid(subsets=5,subset_size=8)", "prdc(k=3)"]


# --- imports that users may have written ------------------------------------------------------------------------------

IMPORTS = {
    "streaming_metrics": """MissingRanks Features Spec GenerativeMetrics FID IS KID PRDC BiasWarning Measure
        NotEnoughSamples Reference load_reference RepeatsWarning DealtStream UnpaddedSampler keep_unpadded merge_states
        Signature""",
    "streaming_metrics.monitor": "GenerationMonitor",
    "streaming_metrics.image": "FrechetInceptionDistance KernelInceptionDistance InceptionScore",
    "streaming_metrics.measures": "BiasWarning Measure NotEnoughSamples Roles Side FID IS KID PRDC",
    "streaming_metrics.statistics": """Bank State Statistic state_device Count Distinct DistinctCount Marginals Moments
        Neighbours""",
    "streaming_metrics.extractors": """Extractor EfficientNetLite0 InceptionV3 ModuleExtractor check_images to_uint8
        EXTRACTORS resolve RESIZES TorchvisionExtractor""",
    "streaming_metrics.sampling": """DealtStream UnpaddedSampler keep_unpadded global_index is_distributed padding_start
        sampler_of seed_of Chunk chunks isolated_rng""",
    "streaming_metrics.plots": """COLOURS FAINT GREY INK curves neighbour_grid new_axes new_figure plot_values
        pr_scatter""",
    "streaming_metrics.report": "check_charts rendered write_comparison write_report",
    "streaming_metrics.cli": "app",
    "streaming_metrics.demo": "main",
}


@pytest.mark.parametrize("module", IMPORTS)
def test_every_name_that_users_import_is_where_it_was(module: str) -> None:
    room = importlib.import_module(module)
    assert [name for name in IMPORTS[module].split() if not hasattr(room, name)] == []
