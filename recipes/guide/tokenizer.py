"""Train the guide's byte-level BPE tokenizer on its corpus and write it as transformers expects it.

The splitting expression is the one llama.cpp calls `qwen2`: digits stand alone (small arithmetic), Chinese runs stay
whole until BPE merges them. There is no normalizer, because llama.cpp applies none.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

PRE = "qwen2"
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
END_OF_TEXT, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
THINK, END_OF_THINK = "<think>", "</think>"
CONTROL = (END_OF_TEXT, TURN, END_OF_TURN)
CALL, END_OF_CALL = "<tool_call>", "</tool_call>"
VISIBLE = (THINK, END_OF_THINK, CALL, END_OF_CALL)
TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def train(texts: Iterator[str], vocab: int) -> Tokenizer:
    """A tokenizer of `vocab` entries in all, the added tokens first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    added = [AddedToken(t, special=True, normalized=False) for t in CONTROL]
    added += [AddedToken(t, special=False, normalized=False) for t in VISIBLE]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab,
            special_tokens=[*CONTROL, *VISIBLE],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_tokens(added)
    return _visible_tags_stay(tokenizer)


def _visible_tags_stay(tokenizer: Tokenizer) -> Tokenizer:
    """Mark the thinking and calling tags as ordinary: the trainer makes all special, and special text is not shown."""
    state = json.loads(tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] = token["content"] in CONTROL
    return Tokenizer.from_str(json.dumps(state))


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    template = TEMPLATE.read_text(encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    end, turn = tokenizer.token_to_id(END_OF_TURN), tokenizer.token_to_id(END_OF_TEXT)
    configuration = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END_OF_TURN,
        "pad_token": END_OF_TEXT,
        "additional_special_tokens": [TURN],
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "chat_template": template,
    }
    generation = {"eos_token_id": [end, turn], "pad_token_id": turn, "do_sample": False}
    for name, content in (("tokenizer_config.json", configuration), ("generation_config.json", generation)):
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def texts(*corpora: Path) -> Iterator[str]:
    """Every message with its role's name, and every reasoning of the corpus files."""
    for corpus in corpora:
        for line in corpus.read_text(encoding="utf-8").splitlines():
            for message in json.loads(line)["messages"]:
                yield message["role"] + "\n" + message["content"]
                if message.get("reasoning"):
                    yield message["reasoning"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("build/guide/corpus"))
    parser.add_argument("--output", type=Path, default=Path("build/guide/tokenizer"))
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--context", type=int, default=1024)
    options = parser.parse_args()
    tokenizer = train(texts(options.corpus / "train.jsonl", options.corpus / "calls.jsonl"), options.vocab)
    save(tokenizer, options.output, options.context)
    print(f"{tokenizer.get_vocab_size()} tokens -> {options.output}")


if __name__ == "__main__":
    main()
