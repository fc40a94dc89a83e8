"""OpenVINO GenAI in a worker process of its own: another way to compute a GGUF file on x86, quick at long prompts.

`OpenVino` (`engine`) is the engine. The worker speaks through the same server as penjing's scheduler does; templates
and tokens are llama.cpp's, so that a model is asked the same whoever computes it.
"""
