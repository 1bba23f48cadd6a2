"""``python -m streaming_metrics``: the command line, as torchrun starts it."""

from streaming_metrics.cli import app

if __name__ == "__main__":
    app(prog_name="streaming-metrics")
