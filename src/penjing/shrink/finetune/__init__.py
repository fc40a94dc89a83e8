"""Fine-tuning: a checkpoint learns from a person's examples, whole or by a small adapter beside it."""
