"""Tiny checkpoints with random weights in their true format: the real configuration class, the real kind of tokenizer.

Needs torch, transformers, tokenizers and sentencepiece.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from penjing.export.gguf import pretokenizer

TEXT = [
    "The quick brown fox jumps over the lazy dog, and it's not 1, 22 or 333 times. We've seen they'll do what I'd do.",
    "def add(a: int, b: int) -> int:\n    return a + b\n\nfor i in range(10):\n\tprint(add(i, 2 ** i))\n",
    "盆景把大模型养小，在自己的机器上陪你聊天。量化、剪枝和蒸馏，都在本地完成。今天天气很好。",
    "Модель отвечает на вопросы. El niño comió piñas; où est la bibliothèque?",
    "penjing grows a big model small and keeps it alive on hardware people own.",
] * 20
PROBES = [
    "Hello, world! It's 2026 and we've 12345 reasons.",
    "  two spaces,   three\n\n\nlines\tand a tab ",
    "盆景让大模型在你的电脑上运行，很好！",
    "emoji: 🌳🪴 👩‍🔬 and ½ ﬁ Ω",
    "def f(x):\n    return {'a': [x ** 2 for _ in range(3)]}\n",
    "DON'T SHOUT, I'LL hear. ÉCOLE straße İstanbul",
]


def byte_level(path: Path, rule: str, marks: list[str], *, whole_words: bool = False, **settings: Any) -> None:
    """Save a byte-level BPE tokenizer that splits by the regular expression `rule`."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    split = pre_tokenizers.Split(Regex(rule), "isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, letters])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    if settings.pop("begin", False):
        begin = marks[0]
        template = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A $B", special_tokens=[(begin, tokenizer.token_to_id(begin))]
        )
        tokenizer.post_processor = template
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **settings)
    fast.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    fast.save_pretrained(path)


def sentence_pieces(path: Path, kind: str, marks: list[str], *, prefix: bool, original: bool) -> None:
    """Save a SentencePiece BPE tokenizer of transformers' class `kind`: as tokenizer.model where `original`, else as
    the tokenizer.json that transformers makes of it."""
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT),
        model_writer=content,
        vocab_size=600,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=prefix,
        allow_whitespace_only_pieces=True,
        user_defined_symbols=[] if prefix else ["\n\n", "▁▁", "<tool>"],  # as Gemma has them and Llama has not
        character_coverage=0.999,
        minloglevel=2,
    )
    path.mkdir(parents=True, exist_ok=True)
    (path / "tokenizer.model").write_bytes(content.getvalue())
    (path.parent / "reference.model").write_bytes(content.getvalue())
    added = {str(600 + index): {"content": mark, "special": True} for index, mark in enumerate(marks)}
    specials = {"0": "<unk>", "1": "<s>", "2": "</s>"}
    decoder = {number: {"content": text, "special": True} for number, text in specials.items()} | added
    settings = {
        "tokenizer_class": kind,
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "legacy": True,
        "added_tokens_decoder": decoder,
        "chat_template": "{{ messages[0].content }}",
    }
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    if not original:
        transformers.AutoTokenizer.from_pretrained(path).save_pretrained(path / "fast")
        (path / "tokenizer.model").unlink()
        (path / "tokenizer_config.json").unlink()
        for page in (path / "fast").iterdir():
            shutil.move(page, path / page.name)


def llama_pieces(path: Path, *, original: bool = True) -> None:
    sentence_pieces(path, "LlamaTokenizer", ["<|assistant|>", "<|end|>"], prefix=True, original=original)


def gemma_pieces(path: Path, *, original: bool = True) -> None:
    sentence_pieces(path, "GemmaTokenizer", ["<start_of_turn>", "<end_of_turn>"], prefix=False, original=original)


def llama3(path: Path) -> None:
    marks = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    byte_level(path, pretokenizer.LLAMA3, marks, whole_words=True, begin=True, bos_token=marks[0], eos_token=marks[1])


def qwen(path: Path) -> None:
    """With transformers' own class, which brings its rule along."""
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    byte_level(path, pretokenizer.QWEN2, [])
    model = json.loads((path / "tokenizer.json").read_text())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    own = transformers.Qwen2Tokenizer(model["vocab"], merges, eos_token=marks[2], additional_special_tokens=marks[1:])
    own.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    own.save_pretrained(path)


def tekken(path: Path) -> None:
    marks = ["<s>", "</s>", "[INST]", "[/INST]"]
    rule = pretokenizer.TEKKEN
    byte_level(path, rule, marks, whole_words=True, begin=True, bos_token=marks[0], eos_token=marks[1])


def gpt4o(path: Path) -> None:
    marks = ["<|endoftext|>", "<|end|>", "<|user|>"]
    byte_level(path, pretokenizer.GPT4O, marks, bos_token=marks[0], eos_token=marks[0])


def glm(path: Path) -> None:
    marks = ["<|endoftext|>", "[gMASK]", "<sop>", "<|user|>", "<|observation|>"]
    byte_level(path, pretokenizer.LLAMA3, marks, eos_token=marks[0], pad_token=marks[0])


@dataclass(frozen=True)
class Sample:
    """One checkpoint to make: transformers' configuration class and its settings, its tokenizer, and the number of
    tokens of context to run llama.cpp with. `error` is the largest difference of log-probabilities that passes:
    llama.cpp sums in another order than torch, and looks Gemma's GELU up in a table of f16."""

    kind: str
    tokenizer: Callable[[Path], None]
    settings: dict[str, Any] = field(default_factory=dict)
    context: int = 128
    dtype: torch.dtype = torch.float32
    error: float = 1e-4
    shards: str = "5GB"


def llama_rope(kind: str, **values: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **values}}


SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "vocab_size": 768,
}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + 0.05 * i for i in range(8)],
    "long_factor": [1.5 + 0.5 * i for i in range(8)],
    "original_max_position_embeddings": 64,
}
GELU = 5e-3
GEMMA = {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 16}
PHI = {"num_key_value_heads": 2, "pad_token_id": 0, "sliding_window": None}
SAMPLES: dict[str, Sample] = {
    "llama-2": Sample("Llama", llama_pieces, {"num_key_value_heads": 4}),
    "llama-2-fast-sharded-bf16": Sample(
        "Llama", lambda path: llama_pieces(path, original=False), dtype=torch.bfloat16, shards="100KB"
    ),
    "llama-3": Sample(
        "Llama",
        llama3,
        {"head_dim": 32, "tie_word_embeddings": True}
        | llama_rope(
            "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32
        ),
    ),
    "llama-linear-bias": Sample("Llama", llama3, {"attention_bias": True} | llama_rope("linear", factor=4.0)),
    "mistral": Sample("Mistral", lambda path: llama_pieces(path, original=False), {"sliding_window": None}),
    "mistral-nemo": Sample("Mistral", tekken, {"head_dim": 32, "sliding_window": None}),
    "qwen-2": Sample("Qwen2", qwen, {"tie_word_embeddings": True}),
    "qwen-2-yarn": Sample("Qwen2", qwen, llama_rope("yarn", factor=4.0, original_max_position_embeddings=32)),
    "qwen-2-yarn-scaled": Sample(
        "Qwen2", qwen, llama_rope("yarn", factor=4.0, original_max_position_embeddings=32, attention_factor=1.3)
    ),
    "qwen-3": Sample("Qwen3", qwen, {"head_dim": 32, "tie_word_embeddings": True}),
    "gemma-2": Sample(
        "Gemma2",
        gemma_pieces,
        GEMMA | {"num_hidden_layers": 4},
        error=GELU,
    ),
    "gemma-3": Sample(
        "Gemma3Text",
        lambda path: gemma_pieces(path, original=False),
        GEMMA | {"num_hidden_layers": 7},
        error=GELU,
    ),
    "gemma-3-multimodal": Sample(
        "Gemma3",
        lambda path: gemma_pieces(path, original=False),
        {
            "text_config": SHAPE | GEMMA | {"num_hidden_layers": 7},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 28,
                "patch_size": 14,
            },
            "mm_tokens_per_image": 4,
        },
        error=GELU,
    ),
    "gemma-3-linear": Sample(
        "Gemma3Text",
        gemma_pieces,
        GEMMA
        | {
            "num_hidden_layers": 4,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
            },
        },
        error=GELU,
    ),
    "phi-3": Sample("Phi3", llama_pieces, PHI),
    "phi-3-long-short": Sample("Phi3", llama_pieces, {**PHI, "rope_parameters": LONG}, context=64),
    "phi-3-long-long": Sample("Phi3", llama_pieces, {**PHI, "rope_parameters": LONG}, context=128),
    "phi-4-mini": Sample(
        "Phi3",
        gpt4o,
        {**PHI, "tie_word_embeddings": True, "partial_rotary_factor": 0.5, "hidden_size": 128},
    ),
    "glm-4": Sample("Glm4", glm, {"head_dim": 16, "pad_token_id": 0}),
    "glm": Sample("Glm", glm, {"head_dim": 16, "pad_token_id": 0}),
}


def make(sample: Sample, folder: Path) -> Path:
    """Write the checkpoint and its tokenizer into `folder`; returns it."""
    sample.tokenizer(folder)
    settings = sample.settings if "text_config" in sample.settings else SHAPE | sample.settings
    config = getattr(transformers, f"{sample.kind}Config")(**settings)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for weights in model.parameters():  # sharp logits and norms that are not all one
            weights.mul_(4.0) if weights.dim() > 1 else weights.add_(torch.randn_like(weights) * 0.2)
    model.to(sample.dtype).save_pretrained(folder, max_shard_size=sample.shards)
    return folder
