"""Studies in which people judge images."""
