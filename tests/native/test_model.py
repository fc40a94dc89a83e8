import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from penjing.native import log
from penjing.native.context import Context
from penjing.native.faults import LoadFailed, WrongUse
from penjing.native.model import Model
from penjing.store.resolve import guide
from tiny_lora import write_tiny_lora
from tiny_model import write_tiny_gguf


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with Model(guide()) as found:
        yield found


def test_facts(model: Model) -> None:
    assert (model.vocabulary_size, model.width, model.layers, model.trained_context) == (4096, 256, 6, 1024)
    assert model.parameters == 5_770_496
    assert model.size < guide().stat().st_size
    assert model.generates
    assert not model.recurrent
    assert model.window == 0
    assert model.metadata["general.architecture"]
    assert "im_start" in (model.chat_template() or "")
    assert model.chat_template("no_such") is None


@pytest.mark.parametrize("text", ["", "What is a KV cache?", "你好，世界 🪴", "  two  spaces\n\n", "<|im_start|>user"])
def test_text_and_back(model: Model, text: str) -> None:
    assert model.detokenize(model.tokenize(text)) == text
    assert b"".join(model.piece(token) for token in model.tokenize(text)).decode() == text


def test_control_tokens_only_where_asked(model: Model) -> None:
    plain, special = model.tokenize("<|im_end|>"), model.tokenize("<|im_end|>", special=True)
    assert len(plain) > 1
    assert len(special) == 1
    assert special[0] in model.ends
    assert model.control(special[0])
    assert model.detokenize(special) == ""
    assert model.detokenize(special, special=True) == "<|im_end|>"
    assert model.special("eos") in model.ends
    assert not model.begins


def test_a_long_text(model: Model) -> None:
    text = "penjing " * 5000
    assert model.detokenize(model.tokenize(text)) == text


@pytest.mark.parametrize("token", [-1, 4096])
def test_a_token_that_there_is_not(model: Model, token: int) -> None:
    for use in (model.piece, model.control, lambda token: model.detokenize([token])):
        with pytest.raises(WrongUse, match="4096"):
            use(token)


def test_vocabulary_alone() -> None:
    with Model(guide(), vocabulary_only=True) as model:
        assert model.tokenize("Hello")


def test_progress_is_told_and_stops_it() -> None:
    seen: list[float] = []
    with Model(guide(), progress=lambda fraction: not seen.append(fraction)):
        assert seen[-1] == 1
    with pytest.raises(LoadFailed):
        Model(guide(), progress=lambda fraction: False)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="nowhere"):
        Model(tmp_path / "nowhere.gguf")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(guide().read_bytes()[:100_000])
    with pytest.raises(LoadFailed) as caught:
        Model(broken)
    assert "says nothing" not in caught.value.message("en")


def test_closed_in_any_order() -> None:
    model = Model(guide())
    context, other = Context(model, 64), Context(model, 64)
    other.close()
    model.close()
    model.close()
    with pytest.raises(WrongUse, match="closed"):
        model.tokenize("x")
    for use in (context.logits, context.memory.clear):
        with pytest.raises(WrongUse, match="closed"):
            use()
    context.close()
    del model, context, other
    gc.collect()


def test_an_adapter_that_is_none(tmp_path: Path) -> None:
    tiny = write_tiny_gguf(tmp_path / "tiny.gguf")
    with Model(tiny) as model:
        with pytest.raises(LoadFailed):
            model.adapter(tiny)
        adapter = model.adapter(write_tiny_lora(tmp_path / "lora.gguf"))
    with pytest.raises(WrongUse):
        adapter.address  # noqa: B018


def test_the_log_is_quiet_until_it_is_wanted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Model(guide()):
        pass
    assert capfd.readouterr().err == ""
    log.tell(log.INFO)
    try:
        with Model(guide()):
            pass
    finally:
        log.tell(log.NOTHING)
    assert "llama_model_loader" in capfd.readouterr().err
