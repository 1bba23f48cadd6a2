"""Watch a generative model while it trains: exact, streamed, on any number of ranks."""

import streaming_metrics.startup as _startup  # noqa: F401  first: what follows takes seconds to import

# isort: split
from streaming_metrics.core.repeats import RepeatsWarning as RepeatsWarning
from streaming_metrics.core.saved_states import merge_states as merge_states
from streaming_metrics.core.shell import GenerativeMetrics as GenerativeMetrics
from streaming_metrics.distributed.comm import MissingRanks as MissingRanks
from streaming_metrics.features import Features as Features
from streaming_metrics.features import Spec as Spec
from streaming_metrics.files.reference import Reference as Reference
from streaming_metrics.files.reference import load_reference as load_reference
from streaming_metrics.measures import FID as FID
from streaming_metrics.measures import IS as IS
from streaming_metrics.measures import KID as KID
from streaming_metrics.measures import PRDC as PRDC
from streaming_metrics.measures import BiasWarning as BiasWarning
from streaming_metrics.measures import Measure as Measure
from streaming_metrics.measures import NotEnoughSamples as NotEnoughSamples
from streaming_metrics.measures import Vendi as Vendi
from streaming_metrics.sampling import DealtStream as DealtStream
from streaming_metrics.sampling import UnpaddedSampler as UnpaddedSampler
from streaming_metrics.sampling import keep_unpadded as keep_unpadded
from streaming_metrics.signature import Signature as Signature
