"""Sources of images: folders, archives, arrays, datasets of one's own; each in a fixed order."""

from typing import TYPE_CHECKING

from streaming_metrics.lazy import lazy_names

if TYPE_CHECKING:
    from streaming_metrics.images.base import Chosen as Chosen
    from streaming_metrics.images.base import Images as Images
    from streaming_metrics.images.base import Joined as Joined
    from streaming_metrics.images.base import Part as Part
    from streaming_metrics.images.decode import Unreadable as Unreadable
    from streaming_metrics.images.find import find_reference as find_reference
    from streaming_metrics.images.find import find_source as find_source
    from streaming_metrics.images.names import EXTENSIONS as EXTENSIONS
    from streaming_metrics.images.own import imported as imported

HOMES = {
    "Chosen": "base",
    "Images": "base",
    "Joined": "base",
    "Part": "base",
    "Unreadable": "decode",
    "find_reference": "find",
    "find_source": "find",
    "imported": "own",
    "EXTENSIONS": "names",
}
__getattr__, __dir__ = lazy_names(__name__, {name: f"{__name__}.{module}" for name, module in HOMES.items()})
