"""Arithmetic before work: what something will need, from facts alone. Nothing here reads or writes anything."""
