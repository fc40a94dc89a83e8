"""Quantization-aware training: the codes and scales of a quantized file learn to answer as the original does."""
