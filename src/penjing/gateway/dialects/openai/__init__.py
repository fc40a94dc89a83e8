"""OpenAI's dialect, with llama.cpp's own sampling options beside it."""
