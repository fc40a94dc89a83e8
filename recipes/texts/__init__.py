"""How the built-in texts are made."""
