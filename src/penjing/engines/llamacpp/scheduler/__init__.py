"""penjing's own scheduler on llama.cpp's kernels: which tokens are computed in the next step, for whom, with what.

`Scheduler` decides step by step over a `penjing.native` context; `tree` knows which sequences share which part of the
KV cache, `pace` how large a step may be and with how many threads, `room` how many cores others leave, `lookup` guesses
tokens from the prompt, `shelf` is what survives on disk. `worker` is the process that serves it.
"""
