"""A checkpoint folder as a `.gguf` file, without torch."""
