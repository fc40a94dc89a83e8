"""Headers that lie about sizes, made from an honest file by changing one count."""

import json
from pathlib import Path

import gguf
import pytest

from penjing.plan.layers import layers
from penjing.probe import model
from penjing.probe.faults import DamagedHeader
from tiny_checkpoint import CONFIG, write_checkpoint
from tiny_model import write_tiny_gguf


@pytest.mark.parametrize(
    ("key", "lie", "word"),
    [
        ("llama.block_count", 1 << 31, "the number of layers"),
        ("llama.embedding_length", 1 << 20, "the embedding's width"),
        ("llama.attention.head_count_kv", 1 << 12, "the width of keys"),
    ],
)
def test_a_lie_is_named(tmp_path: Path, key: str, lie: int, word: str) -> None:
    path = write_tiny_gguf(tmp_path / "lies.gguf")
    assert sum(layers(model.read(path)).values()) == 2
    reader = gguf.GGUFReader(path, "r+")
    reader.fields[key].parts[-1][0] = lie
    reader.data.flush()
    with pytest.raises(DamagedHeader) as caught:
        model.read(path)
    assert caught.value.facts["word"] == word
    assert str(lie) in str(caught.value) or "the width of keys" in str(caught.value)


def test_a_checkpoints_lie(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "lies")
    (folder / "config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": 10**12}))
    with pytest.raises(DamagedHeader, match="number of layers is 1000000000000"):
        model.read(folder)
