"""How many bits a weight a model may be given, as people say it; `quantize` knows which types that means."""

BITS = (4, 8, 16, 32)
