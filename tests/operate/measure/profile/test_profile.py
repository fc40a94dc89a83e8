"""The real guide, profiled in a process of its own."""

from __future__ import annotations

import psutil
import pytest

from penjing.engines.llamacpp.options import EngineOptions
from penjing.operate.measure.profile import run
from penjing.operate.measure.profile.phase import Profile
from penjing.operate.measure.profile.run import NotProfilable, ProfileFailed, profile
from penjing.operate.measure.wanted import TooLong
from penjing.probe import model
from penjing.progress import Progress
from penjing.store.resolve import guide

OPTIONS = EngineOptions(max_context=256, threads=2)
PROMPT, OUTPUT = 40, 5
LAYERS = 6


@pytest.fixture(scope="module")
def heard() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def found(heard: list[Progress]) -> Profile:
    return profile(guide(), "guide", OPTIONS, prompt=PROMPT, output=OUTPUT, seconds=1, report=heard.append)


def test_every_group_of_a_transformer(found: Profile) -> None:
    wanted = ["matrix product", "attention", "normalisation", "RoPE", "elementwise", "sampling", "overhead"]
    for _, phase in found.each():
        assert [part.group for part in phase.groups()] == wanted
        products = next(part for part in phase.groups() if part.group == "matrix product")
        assert products.calls == 7 * LAYERS + 1  # q, k, v, output, gate, up, down; and the vocabulary


def test_bytes_and_flops_are_those_of_the_header(found: Profile) -> None:
    tensors = {tensor.name: tensor for tensor in model.read(guide()).tensors}
    weights = [tensor for name, tensor in tensors.items() if name.startswith("blk.") and len(tensor.shape) == 2]
    output = tensors["token_embd.weight"]
    for _, phase in found.each():
        parts = [part for part in phase.operators() if part.group == "matrix product"]
        assert sum(part.bytes for part in parts) == sum(tensor.bytes for tensor in weights) + output.bytes
        ups = [tensor for tensor in weights if "ffn_up" in tensor.name]
        size = ups[0].shape[0] * ups[0].shape[1]
        computed = phase.tokens * (LAYERS - 1) + 1  # the last layer only for the token that an answer follows
        assert sum(part.flops for part in parts if part.label == "ffn_up") == 2 * size * computed


def test_parts_are_inside_the_watched_time(found: Profile) -> None:
    for _, phase in found.each():
        alone = sum(timed.seconds for timed in phase.operations)
        assert 0 < phase.total <= alone + phase.before + phase.after + phase.sampling
        assert phase.plain > 0
        assert phase.launch.parallel >= 0
        assert phase.launch.single >= 0
        assert phase.runs >= 1
    assert found.prefill.tokens == PROMPT
    assert found.decode.tokens == 1
    assert found.threads == 2


def test_progress(found: Profile, heard: list[Progress]) -> None:
    assert found.model == "guide"
    assert [one.fraction for one in heard] == sorted(one.fraction for one in heard)
    assert {"loading", "warming", "profiling"} == {one.stage for one in heard}


def test_several_micro_batches() -> None:
    """A prompt in three pieces has three times the operations, and the tokens of all."""
    options = EngineOptions(max_context=256, threads=2, batch=16, ubatch=16)
    pieces = profile(guide(), "guide", options, prompt=PROMPT, output=2, seconds=0).prefill
    assert len([one for one in pieces.operations if one.operation.op == "FLASH_ATTN_EXT"]) == 3 * LAYERS
    up = next(part for part in pieces.operators() if part.label == "ffn_up")
    assert up.calls == 3 * LAYERS


def test_other_settings_of_the_engine_are_heeded() -> None:
    options = EngineOptions(max_context=256, threads=1, flash_attention=False, kv_type="f32")
    plain = profile(guide(), "guide", options, prompt=8, output=2, seconds=0)
    ops = {one.operation.op for one in plain.decode.operations}
    assert "SOFT_MAX" in ops
    assert "FLASH_ATTN_EXT" not in ops
    assert plain.threads == 1
    attention = [part for part in plain.decode.operators() if part.group == "attention"]
    assert any(part.label == "mul_mat" and part.types.startswith("F32") for part in attention)


def test_cancelled_leaves_nothing_running() -> None:
    def tired(progress: Progress) -> None:
        if progress.stage == "warming":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        profile(guide(), "guide", OPTIONS, prompt=PROMPT, output=OUTPUT, report=tired)
    running = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert not [words for words in running if run.COMMAND[-1] in words]


def test_too_long_for_the_model() -> None:
    with pytest.raises(TooLong):
        profile(guide(), "guide", OPTIONS, prompt=300, output=OUTPUT)


def test_a_model_that_embeds() -> None:
    with pytest.raises(NotProfilable):
        profile(guide(), "guide", EngineOptions(max_context=256, embeddings=True), prompt=8, output=2)


def test_a_process_that_dies_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "COMMAND", (run.sys.executable, "-c", "raise SystemExit('no such thing')"))
    with pytest.raises(ProfileFailed, match="no such thing"):
        profile(guide(), "guide", OPTIONS, prompt=8, output=2)
