"""How the embedded model was made, and recipes to learn from."""
