"""ONNX: a decoder with its KV cache as inputs and outputs, for ONNX Runtime and ONNX Runtime GenAI."""
