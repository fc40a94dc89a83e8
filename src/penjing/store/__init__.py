"""Store: where models are kept and found."""
