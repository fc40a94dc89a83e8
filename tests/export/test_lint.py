"""What is said about models and graphs that targets do not take, and that the tables are whole."""

from __future__ import annotations

import json
import string
from importlib import resources
from pathlib import Path

import pytest

from penjing.cli.main import run
from penjing.errors import ModelCorrupt
from penjing.export.lint.run import lint
from penjing.export.lint.table import LEVELS, names, table
from penjing.store.resolve import guide

FACTS = {"target", "opset", "least", "most", "wanted", "said_en", "said_zh"}


@pytest.mark.parametrize("target", names())
def test_every_word_is_there_in_both_languages(target: str) -> None:
    found = table(target)
    assert found.sources
    for kind, words in found.says.items():
        assert words.level in (*LEVELS, "taken"), kind
        if words.level != "taken":
            told = [{name for _, name, _, _ in string.Formatter().parse(each) if name} for each in (words.en, words.zh)]
            assert words.en, kind
            assert words.zh, kind
            assert told[0] <= FACTS, kind
            assert told[0] == told[1] or kind == "family", kind


def test_the_guide_goes_everywhere() -> None:
    found = lint(guide().parent, names())
    assert {finding.level for finding in found} == {"rewritten"}
    assert {finding.target for finding in found} == {"coreml", "executorch", "litert", "onnx"}


def test_a_model_without_a_decoder_goes_to_llama_cpp_only(tmp_path: Path) -> None:
    config = {"architectures": ["MambaForCausalLM"], "model_type": "mamba", "vision_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = lint(tmp_path, names())
    blocked = {finding.target for finding in found if finding.level == "blocks"}
    assert blocked == {"coreml", "executorch", "litert", "onnx"}
    (said,) = (finding for finding in found if finding.target == "gguf" and finding.sight.kind == "converter")
    assert "penjing[convert]" in said.words("en")
    assert any("MambaForCausalLM" in finding.words("zh") for finding in found)


def test_rows_that_are_no_whole_groups_are_told(tmp_path: Path) -> None:
    config = json.loads((guide().parent / "config.json").read_text()) | {"intermediate_size": 776}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (odd,) = (finding for finding in lint(tmp_path, ["executorch"]) if finding.level == "note")
    assert "776" in odd.words("en")


def test_a_gguf_file_is_no_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(guide()), "--lint", "--target", "gguf"]) == 0
    assert run(["export", str(guide()), "--lint", "--target", "onnx"]) == 3
    printed = capsys.readouterr()
    assert "takes all of it" in printed.out
    assert "1 of the lines above block" in printed.err


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "guide", "--lint", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["targets"]
    assert sorted(told) == names()
    assert {"level": "rewritten", "kind": "norm", "subject": "RMSNorm", "count": 13, "places": []}.items() <= told[
        "litert"
    ][0].items()


def test_what_is_no_file_or_target_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(tmp_path / "nothing.onnx"), "--lint"]) == 3
    assert run(["export", "guide", "--lint", "--target", "toaster"]) == 2
    assert "coreml, executorch" in capsys.readouterr().err


def test_tables_name_no_operator_twice() -> None:
    for target in names():
        text = resources.files("penjing").joinpath("data", "lint", f"{target}.toml").read_text(encoding="utf-8")
        taken = text.partition("takes = [")[2].partition("]")[0].split()
        assert len(taken) == len(set(taken))


@pytest.mark.exports
def test_a_damaged_onnx_file_is_told(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs penjing[onnx]")
    for content in (b"", b"no protobuf \xff\xff\xff"):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(ModelCorrupt):
            lint(tmp_path / "model.onnx", ["onnx"])
