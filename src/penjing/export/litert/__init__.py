"""The target `litert`: a `.tflite` with `prefill_N` and `decode`, and a `.litertlm` bundle of it with the tokenizer."""
