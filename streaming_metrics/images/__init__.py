"""Where images come from: folders, archives, arrays, datasets of one's own; each in a fixed order."""

from streaming_metrics.images.base import Chosen as Chosen
from streaming_metrics.images.base import Images as Images
from streaming_metrics.images.base import Joined as Joined
from streaming_metrics.images.base import Part as Part
from streaming_metrics.images.decode import Unreadable as Unreadable
from streaming_metrics.images.find import find_source as find_source
from streaming_metrics.images.find import imported as imported
from streaming_metrics.images.names import EXTENSIONS as EXTENSIONS
