"""What gives a model eyes: found, refused, and used by the real library on a real picture."""

import base64
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from engines.clients import connected
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.llamacpp.projector import NoSuchProjector, NotAProjector, ProjectorOfAnother, beside, find
from penjing.errors import SettingError
from penjing.native import libraries
from penjing.probe import model as probe
from tiny_model import write_tiny_gguf
from tiny_projector import picture, write

WIDTH = 256
"""Of the guide's embeddings."""


@pytest.fixture(scope="module")
def projector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("eyes") / "mmproj-model-f32.gguf", WIDTH)


@pytest.mark.parametrize(
    ("model", "others", "found"),
    [
        ("a-7b-Q4_K_M.gguf", ("mmproj-F16.gguf", "mmproj-BF16.gguf"), ["mmproj-F16.gguf", "mmproj-BF16.gguf"]),
        (
            "a-7b-Q4_K_M.gguf",
            ("mmproj-a-7b-f16.gguf", "mmproj-model-f16.gguf"),
            ["mmproj-a-7b-f16.gguf", "mmproj-model-f16.gguf"],
        ),
        ("a-7b-Q4_K_M.gguf", ("mmproj-b-7b-f16.gguf", "a-7b-mmproj.txt"), []),
        ("gemma-3-4b-it-Q4_K_M.gguf", ("gemma-3-4b-it-mmproj-f16.gguf",), ["gemma-3-4b-it-mmproj-f16.gguf"]),
    ],
)
def test_names_say_whose_it_is(model: str, others: tuple[str, ...], found: list[str], tmp_path: Path) -> None:
    for name in (model, *others):
        (tmp_path / name).touch()
    assert [path.name for path in beside(tmp_path / model)] == found


def test_what_came_together_belongs_together(tmp_path: Path) -> None:
    for name in ("manifest.json", "model.gguf", "mmproj-of-whatever-0.gguf"):
        (tmp_path / name).touch()
    assert [path.name for path in beside(tmp_path / "model.gguf")] == ["mmproj-of-whatever-0.gguf"]


def test_found_named_and_refused(guide: Path, projector: Path, tmp_path: Path) -> None:
    model = probe.read(guide)
    found = find(str(projector), model)
    assert found is not None
    assert (found.path, found.vision, found.audio, found.asked) == (projector, True, False, True)
    assert found.total > found.bytes > 0
    lying = find(None, model, near=projector.with_name("guide.gguf"))  # of what the model was made
    assert lying is not None
    assert (lying.path, lying.asked) == (projector, False)
    assert find("none", model, near=projector.with_name("guide.gguf")) is None
    with pytest.raises(NotAProjector):
        find(str(guide), model)
    with pytest.raises(NoSuchProjector):
        find(str(tmp_path / "nothing.gguf"), model)
    other = write(tmp_path / "mmproj-f32.gguf", 96)
    with pytest.raises(ProjectorOfAnother, match="96"):
        find(str(other), model)
    assert find(None, model, near=tmp_path / "guide.gguf") is None
    other.write_bytes(b"GGUF")
    assert find(None, model, near=tmp_path / "guide.gguf") is None


async def test_what_cannot_see_is_chosen_only_where_a_person_did(
    guide: Path, projector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shutil.copy(guide, tmp_path / "guide.gguf")
    native = libraries.Library("native", guide, "1", libraries.About("source", "1", "here", "cpu"))
    monkeypatch.setattr(libraries, "in_use", lambda: native)  # its scheduler would be penjing's
    assert (await LlamaCpp(model, "blind").foresee()).settings.scheduler == "penjing"
    shutil.copy(projector, tmp_path)
    seeing = LlamaCpp(model, "seeing")
    derived = await seeing.foresee()
    assert (derived.settings.scheduler, derived.settings.mmproj) == ("llama.cpp", str(tmp_path / projector.name))
    assert derived.need.weights == probe.read(guide).bytes + probe.read(projector).bytes
    assert (await seeing.expected()).vision
    blind = await LlamaCpp(model, "blind", EngineOptions(scheduler="penjing")).foresee()
    assert blind.settings.mmproj == ""
    assert "computes no pictures" in next(each.why("en") for each in blind.choices if each.name == "mmproj")
    for options in ({"scheduler": "penjing"}, {"context_shift": True}, {"power": "eco"}):
        asked: Any = {"mmproj": str(projector), **options}
        with pytest.raises(SettingError, match=next(iter(options))):
            await LlamaCpp(model, "blind", EngineOptions(**asked)).foresee()


async def test_a_picture_is_seen(guide: Path, projector: Path) -> None:
    one = LlamaCpp(guide, "guide", EngineOptions(mmproj=str(projector), max_context=512, parallel=1))
    await one.start()
    try:
        assert one.capabilities.vision
        async with connected(one.address) as client:
            red, again, blue = [await looked(client, *color) for color in ((255, 0, 0), (255, 0, 0), (0, 0, 255))]
    finally:
        await one.stop()
    assert red == again != blue


async def looked(client: aiohttp.ClientSession, *color: int) -> list[tuple[str, float]]:
    """What the model is most likely to say first of a picture of that color."""
    url = "data:image/png;base64," + base64.b64encode(picture(*color)).decode()
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = {
        "messages": [{"role": "user", "content": parts}],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 3,
        "cache_prompt": False,
    }
    async with client.post("/v1/chat/completions", json=body) as response:
        said = await response.json()
        assert response.status == 200, said
    (first,) = said["choices"][0]["logprobs"]["content"]
    return [(each["token"], round(each["logprob"], 3)) for each in first["top_logprobs"]]


async def test_without_one_a_picture_is_refused(tmp_path: Path) -> None:
    """By the worker too, though the gateway would have refused it before."""
    tiny = write_tiny_gguf(tmp_path / "tiny.gguf")
    one = LlamaCpp(tiny, "tiny", EngineOptions(scheduler="penjing"))
    await one.start()
    try:
        assert not one.capabilities.vision
        body = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]}
        async with connected(one.address) as client, client.post("/v1/chat/completions", json=body) as response:
            assert response.status == 400
            assert "image_url" in (await response.json())["error"]["message"]
    finally:
        await one.stop()
