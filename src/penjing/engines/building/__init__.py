"""llama.cpp compiled for this very processor: tools and source fetched, compiled, checked against the prebuilt library,
kept under PENJING_HOME/native.

Does not know: who uses it (`native.libraries`), command lines.
"""
