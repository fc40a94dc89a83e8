import pytest

from penjing.engines.llamacpp.options import Beside, EngineOptions
from penjing.errors import SettingError


@pytest.mark.parametrize(
    "given",
    [
        {"max_context": 0}, {"max_context": "2048"}, {"parallel": -1}, {"parallel": True}, {"threads": 1.5},
        {"batch": 0}, {"ubatch": []}, {"gpu_layers": -1}, {"device": "gpu"}, {"kv_type": "q3_k"}, {"rope_scale": 0.5},
        {"rope_scale": "2"}, {"rope_scale": float("nan")}, {"log_level": "loud"}, {"mmap": 1}, {"embeddings": "yes"},
        {"flash_attention": "auto"}, {"lora": "a.gguf"}, {"lora": (1,)},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(given: dict[str, object]) -> None:
    with pytest.raises(SettingError) as caught:
        EngineOptions(**given)  # type: ignore[arg-type]
    assert caught.value.facts["name"] == next(iter(given))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="max_contxt"):
        EngineOptions(max_contxt=1)  # type: ignore[call-arg]


def test_adapters_have_a_path_and_a_weight() -> None:
    given = ("a.gguf", "b.gguf=0.5", "./odd=name.gguf", "pirate=c.gguf", "poet=./x=y.gguf=0.7")
    wanted = (
        Beside("a.gguf"),
        Beside("b.gguf", 0.5),
        Beside("./odd=name.gguf"),
        Beside("c.gguf", name="pirate"),
        Beside("./x=y.gguf", 0.7, "poet"),
    )
    assert EngineOptions(lora=given).adapters == wanted
    assert EngineOptions(lora=tuple(each.entry for each in wanted)).adapters == wanted
    with pytest.raises(SettingError, match="different names"):
        EngineOptions(lora=("a=x.gguf", "a=y.gguf"))
