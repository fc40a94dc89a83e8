"""AutoRound's own GGUF of a checkpoint, for `quantize_kl.py`. Needs auto-round, torch and transformers.

    python bench/autoround_peer.py CHECKPOINT SCHEME CALIBRATION.npy OUTPUT.gguf

200 iterations on the same tokens as everybody else. Its exporter takes llama.cpp's converter, which refuses tokenizers
that it has not seen: what it would ask by a hash it is told here (`gpt-2`; tokens are compared by number anyway).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

ITERATIONS = 200
LENGTH = 128
SAMPLES = 128


def main() -> None:
    checkpoint, scheme, tokens, output = sys.argv[1:]
    import auto_round.export.export_to_gguf.llama_cpp_conversion as conversion
    import torch
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    original = conversion._import_conversion_from

    def known(root, source):  # type: ignore[no-untyped-def]  # theirs has no types
        found = original(root, source)
        import conversion.base as base

        base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
        return found

    conversion._import_conversion_from = known
    windows = torch.from_numpy(np.load(tokens).astype(np.int64)).reshape(-1, LENGTH)[:SAMPLES]
    data = [{"input_ids": one[None], "attention_mask": torch.ones_like(one[None])} for one in windows]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as place:
        AutoRound(
            model,
            tokenizer,
            scheme=f"gguf:{scheme}",
            iters=ITERATIONS,
            nsamples=len(data),
            seqlen=LENGTH,
            dataset=data,
            batch_size=8,
            device_map="cpu",
            enable_torch_compile=False,
        ).quantize_and_save(output_dir=place, format=f"gguf:{scheme}")
        (made,) = Path(place).rglob("*.gguf")
        shutil.copy(made, output)


if __name__ == "__main__":
    main()
