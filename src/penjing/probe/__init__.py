"""What this machine is, and what a model on disk is, read without loading either."""
