"""How many bits a weight a model may be given, as people say it, and which of llama.cpp's mixtures that means."""

BY_BITS = {2: "Q2_K", 3: "Q3_K_M", 4: "Q4_K_M", 5: "Q5_K_M", 6: "Q6_K", 8: "Q8_0", 16: "F16", 32: "F32"}
BITS = tuple(BY_BITS)
SAID = "2, 3, 4, 5, 6, 8, 16 or 32"
"""The same for people."""
