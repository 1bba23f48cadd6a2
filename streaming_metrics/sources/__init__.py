"""Where images come from: folders, archives, arrays, datasets of one's own; each in a fixed order."""

from streaming_metrics.decode import Unreadable as Unreadable
from streaming_metrics.sources.base import Chosen as Chosen
from streaming_metrics.sources.base import Images as Images
from streaming_metrics.sources.base import Joined as Joined
from streaming_metrics.sources.base import Part as Part
from streaming_metrics.sources.find import find_source as find_source
from streaming_metrics.sources.find import imported as imported
from streaming_metrics.sources.names import EXTENSIONS as EXTENSIONS
