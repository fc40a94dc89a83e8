"""llama.cpp's C interface through ctypes: the one place where the library's own functions and structures are known.

`library` finds and loads it, `layout` knows its structures, `calls` its functions; `Model`, `Context`, `Batch` and
`Sampler` are what the rest of penjing computes with.
"""
