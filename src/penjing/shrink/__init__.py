"""Shrink: the same model in fewer bytes."""
