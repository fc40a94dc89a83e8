import json
import os
import signal
import sys
from pathlib import Path

import pytest

from engines.clients import answer, connected
from penjing.engines.llamacpp import EngineOptions
from penjing.engines.mlx import Mlx, MlxMissing
from penjing.errors import EngineLoading, EngineStartFailed, ModelUnsupported, SettingError

STAND_IN = (sys.executable, str(Path(__file__).parent / "mlx_server.py"))
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """As much of a checkpoint as the engine looks at."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 2048}), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    return folder


async def test_it_answers_and_ends(checkpoint: Path) -> None:
    engine = Mlx(checkpoint, "mine", command=STAND_IN)
    with pytest.raises(EngineLoading):
        engine.address  # noqa: B018
    await engine.start()
    try:
        assert engine.capabilities.context == 2048
        assert "response_format" in engine.capabilities.unheard
        assert await engine.ready()
        async with connected(engine.address) as client:
            said = await answer(client, model=engine.capabilities.model, messages=HELLO)
            assert said["choices"][0]["message"]["content"] == "An answer."
    finally:
        await engine.stop()
    assert not await engine.ready()


async def test_an_end_by_itself_is_told(checkpoint: Path) -> None:
    engine = Mlx(checkpoint, "mine", command=STAND_IN)
    await engine.start()
    assert engine._child is not None
    os.kill(engine._child.pid, signal.SIGKILL)
    assert await engine.ended() == "killed by SIGKILL"
    await engine.stop()


async def test_its_last_words_are_repeated(checkpoint: Path) -> None:
    broken = checkpoint.rename(checkpoint.with_name("broken"))
    with pytest.raises(EngineStartFailed, match="Model type foo not supported"):
        await Mlx(broken, "mine", command=STAND_IN).start()


async def test_only_checkpoints_and_its_own_options(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupported, match=r"config\.json"):
        await Mlx(tmp_path, "mine", command=STAND_IN).start()
    with pytest.raises(SettingError, match="threads"):
        await Mlx(checkpoint, "mine", EngineOptions(threads=2), command=STAND_IN).start()


@pytest.mark.skipif(sys.platform == "darwin", reason="there it may be installed")
async def test_elsewhere_it_is_refused(checkpoint: Path) -> None:
    with pytest.raises(MlxMissing):
        await Mlx(checkpoint, "mine").start()
