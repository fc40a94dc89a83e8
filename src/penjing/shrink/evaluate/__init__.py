"""Evaluate: what a model is worth, and what it lost against the one it was made from."""
