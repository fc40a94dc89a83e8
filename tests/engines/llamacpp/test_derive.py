import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.engines.llamacpp.derive import Derived, derive
from penjing.engines.llamacpp.devices import BackendMissing, Device, NoGpu
from penjing.engines.llamacpp.options import EngineOptions
from penjing.errors import ModelTooBig, SettingError
from penjing.probe.facts import Model
from penjing.probe.machine import Machine

GB = 10**9
CPU = Device("CPU", "cpu")
CARD = Device("CUDA0", "cuda", "a card", 24 * GB, 24 * GB, gpu=True)


def model(**changes: object) -> Model:
    """The shape of an 8 B model at about 4.8 bits."""
    facts: dict[str, object] = {
        "path": Path("/models/eight.gguf"),
        "format": "gguf",
        "architecture": "llama",
        "name": "Eight",
        "parameters": 8 * 10**9,
        "bytes": 4_900_000_000,
        "context": 131072,
        "layers": 32,
        "embedding": 4096,
        "heads": 32,
        "kv_heads": 8,
        "key_length": 128,
        "value_length": 128,
        "feed_forward": 14336,
        "vocabulary": 128256,
    }
    return Model(**{**facts, **changes})  # type: ignore[arg-type]


def machine(gigabytes: float = 16, cores: int = 8) -> Machine:
    memory = int(gigabytes * GB)
    return Machine("Linux", "test", frozenset(), cores, 2 * cores, cores, memory, memory)


def choices(derived: Derived) -> dict[str, tuple[object, bool]]:
    return {choice.name: (choice.value, choice.overridden) for choice in derived.choices}


@pytest.mark.parametrize(
    ("gigabytes", "context", "slots"),
    [(8, 8192, 1), (16, 8192, 4), (32, 11008, 4), (64, 24576, 4), (512, 131072, 4)],
)
def test_context_and_slots_grow_with_the_memory(gigabytes: int, context: int, slots: int) -> None:
    settings = derive(model(), machine(gigabytes), EngineOptions()).settings
    assert settings.slots == slots
    assert settings.context == context
    assert settings.pool == settings.context * settings.slots


def test_the_header_bounds_the_context() -> None:
    derived = derive(model(context=2048), machine(64), EngineOptions())
    assert (derived.settings.context, derived.settings.slots) == (2048, 4)


def test_rope_scale_multiplies_the_trained_context() -> None:
    derived = derive(model(context=2048), machine(64), EngineOptions(rope_scale=2))
    assert derived.settings.context == 4096
    assert derived.settings.rope_scale == 2.0


def test_nothing_is_chosen_that_a_person_chose() -> None:
    options = EngineOptions(
        max_context=3000, parallel=2, threads=3, batch=256, ubatch=64, flash_attention=True, kv_type="q8_0", mmap=False
    )
    derived = derive(model(), machine(64), options)
    settings = derived.settings
    assert (settings.context, settings.slots, settings.pool, settings.threads) == (3000, 2, 6000, 3)
    assert (settings.batch, settings.ubatch, settings.flash_attention) == (256, 64, "on")
    assert (settings.kv_type, settings.mmap) == ("q8_0", False)
    names = {"context", "parallel", "threads", "batch", "ubatch", "flash_attention", "kv_type", "mmap"}
    assert {name for name, (_, overridden) in choices(derived).items() if overridden} == names


def test_every_choice_is_what_is_used_and_has_a_reason_in_both_languages() -> None:
    for derived in (
        derive(model(), machine(16), EngineOptions()),
        derive(model(pooling="mean"), machine(64), EngineOptions(device="cuda"), devices=(CPU, CARD)),
        derive(model(context=1024), machine(64), EngineOptions(threads=1)),
    ):
        for choice in derived.choices:
            assert choice.why("en")
            assert choice.why("zh") != choice.why("en")
            renamed = {"parallel": "slots", "kv_cache": "pool"}.get(choice.name, choice.name)
            if choice.name != "device":
                assert getattr(derived.settings, renamed) == choice.value


def test_more_context_than_trained_is_told_not_dropped() -> None:
    derived = derive(model(context=2048), machine(64), EngineOptions(max_context=5000))
    assert derived.settings.context == 2048
    (why,) = (choice.why("en") for choice in derived.choices if choice.name == "context")
    assert "5000 was asked for" in why
    assert "--rope-scale 3" in why
    stretched = derive(model(context=2048), machine(64), EngineOptions(max_context=5000, rope_scale=3))
    assert stretched.settings.context == 5000


def test_slots_shrink_before_a_given_context_does() -> None:
    assert derive(model(), machine(12), EngineOptions(max_context=16384)).settings.slots == 2


def test_too_big_says_what_would_fit() -> None:
    with pytest.raises(ModelTooBig) as caught:
        derive(model(bytes=16_000_000_000), machine(16), EngineOptions())
    assert caught.value.facts["fits"] == "--bits 4 (4.8 GB)"
    with pytest.raises(ModelTooBig) as caught:
        derive(model(), machine(2), EngineOptions())
    assert "B, --bits 4" in str(caught.value.facts["fits"])
    with pytest.raises(ModelTooBig) as caught:
        derive(model(), machine(8), EngineOptions(max_context=131072, parallel=2))
    assert "--max-context " in str(caught.value.facts["fits"])


@given(
    gigabytes=st.floats(0.1, 300),
    size=st.integers(10**6, 10**11),
    context=st.one_of(st.none(), st.integers(1, 200_000)),
    parallel=st.one_of(st.none(), st.integers(1, 16)),
)
def test_what_is_accepted_fits_and_what_is_advised_is_accepted(
    gigabytes: float, size: int, context: int | None, parallel: int | None
) -> None:
    here, big = machine(gigabytes), model(bytes=size, parameters=size)
    try:
        derived = derive(big, here, EngineOptions(max_context=context, parallel=parallel))
    except ModelTooBig as error:
        advice = str(error.facts["fits"]).split(", ")
        if advice[0].startswith("--max-context"):
            longest = int(advice[0].split()[1])
            again = derive(big, here, EngineOptions(max_context=longest, parallel=parallel))
            assert again.settings.context == longest
    else:
        assert derived.need.total <= here.memory_available
        assert derived.settings.context == min(context or derived.settings.context, 131072)


def test_quantized_cache_needs_flash_attention_and_whole_blocks() -> None:
    with pytest.raises(SettingError, match="flash attention"):
        derive(model(), machine(64), EngineOptions(kv_type="q8_0", flash_attention=False))
    with pytest.raises(SettingError, match="this model"):
        derive(model(key_length=80, value_length=80), machine(64), EngineOptions(kv_type="q4_0"))


def test_all_layers_go_to_a_card_with_room() -> None:
    derived = derive(model(context=8192), machine(64), EngineOptions(), devices=(CPU, CARD))
    assert derived.settings.gpu_layers == 33
    assert choices(derived)["device"] == ("cuda", False)


def test_some_layers_go_to_a_small_card() -> None:
    small = dataclasses.replace(CARD, memory_free=4 * GB)
    layers = derive(model(context=8192), machine(64), EngineOptions(), devices=(CPU, small)).settings.gpu_layers
    assert 0 < layers < 33


def test_device_cpu_leaves_the_card_alone() -> None:
    derived = derive(model(context=8192), machine(64), EngineOptions(device="cpu"), devices=(CPU, CARD))
    assert derived.settings.gpu_layers == 0
    assert choices(derived)["device"] == ("cpu", True)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_layers_for_a_gpu_that_is_not_used_are_not_dropped_in_silence(device: str) -> None:
    with pytest.raises(NoGpu, match="--gpu-layers 3"):
        derive(model(), machine(64), EngineOptions(device=device, gpu_layers=3), devices=(CPU,))


def test_a_device_the_library_lacks_is_refused() -> None:
    with pytest.raises(BackendMissing, match=r"'vulkan'.*cpu, cuda"):
        derive(model(), machine(64), EngineOptions(device="vulkan"), devices=(CPU, CARD))


def test_embedding_models_compute_a_text_in_one_piece() -> None:
    settings = derive(model(pooling="mean", context=8192), machine(64), EngineOptions()).settings
    assert settings.embeddings
    assert settings.ubatch == settings.batch
    assert settings.pooling == ""


def test_embeddings_of_a_chat_model_are_pooled_by_mean() -> None:
    settings = derive(model(context=8192), machine(64), EngineOptions(embeddings=True)).settings
    assert (settings.embeddings, settings.pooling) == (True, "mean")
