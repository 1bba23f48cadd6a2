"""The command line: ``streaming-metrics``, or ``python -m streaming_metrics``."""

from streaming_metrics.cli.commands import app as app
