"""The engine without OpenVINO itself: what is refused before anything is loaded."""

from pathlib import Path

import pytest

from penjing.engines.llamacpp import EngineOptions
from penjing.engines.openvino import extra
from penjing.engines.openvino.engine import NotForOpenVino, OpenVino
from penjing.engines.openvino.extra import OpenVinoMissing
from penjing.errors import SettingError
from tiny_model import write_tiny_gguf


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "require", lambda: "1.0")


async def test_without_the_package_it_says_how_to_get_it(guide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "PACKAGE", "no-such-package")
    with pytest.raises(OpenVinoMissing) as missing:
        await OpenVino(guide, "guide").foresee()
    assert "penjing[openvino]" in missing.value.advice("en")


async def test_its_settings_are_derived_as_llama_cpp_s(guide: Path, installed: None) -> None:
    found = await OpenVino(guide, "guide", EngineOptions(threads=1, max_context=512)).foresee()
    assert (found.settings.scheduler, found.settings.library_version) == ("openvino", "openvino 1.0")
    assert (found.settings.threads, found.settings.context) == (1, 512)
    assert found.choices[0].value == "openvino"
    assert "cache_ram" not in [choice.name for choice in found.choices]


@pytest.mark.parametrize(
    "options", [EngineOptions(rope_scale=2.0), EngineOptions(device="cuda"), EngineOptions(kv_type="q5_1")]
)
async def test_options_that_would_be_passed_over_are_refused(
    guide: Path, installed: None, options: EngineOptions
) -> None:
    with pytest.raises(SettingError):
        await OpenVino(guide, "guide", options).foresee()


async def test_families_that_its_reader_does_not_know_are_refused(tmp_path: Path, installed: None) -> None:
    import gguf

    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    reader = gguf.GGUFReader(path, "r+")
    reader.fields["general.architecture"].parts[-1][:] = list(b"gemma")
    reader.data.flush()
    with pytest.raises(NotForOpenVino, match="gemma"):
        await OpenVino(path, "tiny").foresee()


async def test_a_file_that_does_not_say_its_type_is_refused(tmp_path: Path, installed: None) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes().replace(b"general.file_type", b"general.file_typo"))
    with pytest.raises(NotForOpenVino, match=r"general\.file_type") as refused:
        await OpenVino(path, "tiny").foresee()
    assert "--engine openvino" in refused.value.advice("en")
