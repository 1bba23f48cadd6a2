"""What the hooks of :class:`~streaming_metrics.monitor.GenerationMonitor` call; none of it knows Lightning."""
