"""Structured pruning: a checkpoint with fewer layers, heads, channels, that is an ordinary checkpoint."""
