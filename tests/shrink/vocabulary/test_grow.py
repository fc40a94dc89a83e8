"""A language is added to a whole checkpoint, and the engine reads it with the same ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sentencepiece
from tokenizers import Tokenizer

import grown_tokenizers
from grown_tokenizers import DOCS, paragraphs
from penjing.errors import PenjingError
from penjing.export.gguf import convert
from penjing.native.model import Model
from penjing.progress import Progress
from penjing.shrink.output import OutputTaken
from penjing.shrink.texts.text import Document, Text
from penjing.shrink.vocabulary import faults
from penjing.shrink.vocabulary.grow import Grown, divided, grow
from tiny_checkpoint import CONFIG, tensors, write_checkpoint, write_safetensors

SIZE = 600
CHINESE = Text("zh", tuple(Document(part) for part in paragraphs("zh")))
SHORT = Text("zh", CHINESE.documents[:60])
PROBES = [
    "盆景让大模型在你的电脑上运行，很好！",
    "Quantize it to 4 bits, please.",
    "用 penjing 量化模型：`--bits 4`",
    "冧鑫☃",
]


def checkpoint(folder: Path, kind: str) -> Path:
    """A tiny model whose tokenizer knows English only."""
    page = grown_tokenizers.page(kind)
    rows = page.free + 2
    write_checkpoint(folder, vocab_size=rows, eos_token_id=2)
    write_safetensors(folder / "model.safetensors", tensors({**CONFIG, "vocab_size": rows}))
    (folder / "tokenizer.json").write_text(json.dumps(page.content))
    if kind == "sentence_bpe":
        (folder / "tokenizer.model").write_bytes(grown_tokenizers.sentence_model())
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    else:
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
        (folder / "vocab.json").write_text("{}")
    return folder


@pytest.fixture(scope="module", params=["byte_level", "sentence_bpe"])
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Grown]:
    place = tmp_path_factory.mktemp(request.param)
    source = checkpoint(place / "old", request.param)
    return source, grow(source, [CHINESE], place / "new", SIZE)


def test_a_language_is_added(grown: tuple[Path, Grown]) -> None:
    source, found = grown
    assert found.scripts == ("CJK",)
    assert found.added == SIZE
    assert found.rows == found.first + SIZE == json.loads((found.output / "config.json").read_text())["vocab_size"]
    assert found.heldout.ratio <= 0.6
    assert found.old.before == found.old.after > 100
    step = found.manifest.recipe["steps"][0]  # type: ignore[index]  # a list in manifests
    assert (step["step"], step["found"]["added"], list(step["data"])) == ("vocabulary", SIZE, ["zh"])
    assert not (found.output / "vocab.json").exists()
    assert source.is_dir()


def test_the_engine_has_the_same_ids(grown: tuple[Path, Grown], tmp_path: Path) -> None:
    source, found = grown
    convert.convert(found.output, tmp_path / "new.gguf")
    convert.convert(source, tmp_path / "old.gguf")
    tokenizer = Tokenizer.from_file(str(found.output / "tokenizer.json"))
    texts = [*PROBES, *paragraphs("zh")[-20:], *paragraphs("en")[:20]]
    with (
        Model(tmp_path / "new.gguf", vocabulary_only=True) as new,
        Model(tmp_path / "old.gguf", vocabulary_only=True) as old,
    ):
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            assert new.tokenize(text, begin=False) == ids
            if text.isascii():
                assert old.tokenize(text, begin=False) == ids
        assert new.vocabulary_size == found.rows


@pytest.mark.parametrize("grown", ["sentence_bpe"], indirect=True)
def test_sentencepiece_itself_reads_the_grown_model(grown: tuple[Path, Grown]) -> None:
    _, found = grown
    library = sentencepiece.SentencePieceProcessor(model_file=str(found.output / "tokenizer.model"))
    tokenizer = Tokenizer.from_file(str(found.output / "tokenizer.json"))
    assert library.get_piece_size() == found.rows
    for text in [*PROBES, *paragraphs("zh")[-20:]]:
        assert library.encode(text) == tokenizer.encode(text).ids


def test_characters_of_old_text_are_left_alone(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "old", "byte_level")
    found = grow(source, [SHORT], tmp_path / "new", 200, old=[Text("old", (Document("的模型"),))])
    assert not set("".join(found.pieces)) & set("的模型")
    assert found.heldout.ratio < 0.9


def test_what_cannot_be_added(tmp_path: Path) -> None:
    source, output = checkpoint(tmp_path / "old", "byte_level"), tmp_path / "new"
    english = Text("en", tuple(map(Document, paragraphs("en"))))
    with pytest.raises(faults.NothingToAdd, match="LATIN"):
        grow(source, [english], output)
    with pytest.raises(faults.TextTooSmall, match="6 letters"):
        grow(source, [Text("short", (Document("模型量化模型"),))], output)
    with pytest.raises(faults.SizeImpossible):
        grow(source, [CHINESE], output, 0)
    with pytest.raises(faults.NoFolder):
        grow(DOCS / "en" / "cli.md", [CHINESE], output)
    assert not output.exists()
    output.mkdir()
    (output / "mine").touch()
    with pytest.raises(OutputTaken):
        grow(source, [CHINESE], output)


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"model": {"type": "WordPiece", "vocab": {"a": 0}}}, "WordPiece"), ({"pre_tokenizer": None}, "BPE")],
)
def test_kinds_that_are_not_known(tmp_path: Path, change: dict[str, object], kind: str) -> None:
    source = checkpoint(tmp_path / "old", "byte_level")
    path = source / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(faults.TokenizerKindUnknown, match=kind):
        grow(source, [CHINESE], tmp_path / "new")
    path.unlink()
    with pytest.raises(faults.NoTokenizerPage):
        grow(source, [CHINESE], tmp_path / "new")


def test_stopped_halfway_it_leaves_nothing(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "old", "byte_level")

    def stop(progress: Progress) -> None:
        if progress.stage == "writing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grow(source, [SHORT], tmp_path / "new", 200, report=stop)
    assert [each.name for each in tmp_path.iterdir()] == ["old"]


def test_a_damaged_sentencepiece_model_is_told(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "old", "sentence_bpe")
    (source / "tokenizer.model").write_bytes(b"\xff\xff\xff")
    with pytest.raises(PenjingError, match="no SentencePiece model"):
        grow(source, [SHORT], tmp_path / "new", 200)


def test_division_depends_on_a_document_alone() -> None:
    documents = [f"text {number}" for number in range(200)]
    learned, held = divided(documents)
    assert 5 < len(held) < 50
    assert divided(documents[:100])[1] == [each for each in held if each in documents[:100]]
    assert divided(["one"]) == (["one"], [])
    assert len(divided(["one", "two"])[1]) == 1
    assert sorted(learned + held) == sorted(documents)
