"""Doctor: what one number would be under every named protocol, which differences make it so, and what looks wrong."""
