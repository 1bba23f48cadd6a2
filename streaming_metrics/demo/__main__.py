"""Entry point of the demo: ``python -m streaming_metrics.demo``."""

from streaming_metrics.demo.command_line import main

if __name__ == "__main__":
    main()
