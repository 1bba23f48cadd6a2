"""Entry point of the demo: ``python -m streaming_metrics.demo``."""

from streaming_metrics.demo import main

if __name__ == "__main__":
    main()
