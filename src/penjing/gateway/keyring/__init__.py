"""API keys: what is kept of them on disk, what a running server knows of them, what they have used."""
