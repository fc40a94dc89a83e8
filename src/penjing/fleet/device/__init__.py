"""A device: one machine that follows a channel of a hub."""
