"""The makers' wishes, from their file to the engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llama_engine
from penjing.export.gguf import convert, sampling
from penjing.shrink.quantize import quantize
from tiny_checkpoint import write_checkpoint


def wishes(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / sampling.FILE).write_text(text, encoding="utf-8")
    return folder


def test_numbers_that_say_something_are_taken(tmp_path: Path) -> None:
    said = {"do_sample": True, "temperature": 0.6, "top_k": 20, "repetition_penalty": 1.1, "x": 1, "top_p": True}
    found = sampling.read(wishes(tmp_path, json.dumps({**said, "min_p": None})))
    assert found == {
        "general.sampling.temp": 0.6,
        "general.sampling.top_k": 20,
        "general.sampling.penalty_repeat": 1.1,
    }
    assert sampling.read(wishes(tmp_path, '{"do_sample": false, "temperature": 0.6}')) == {"general.sampling.temp": 0.0}
    assert sampling.read(tmp_path / "nowhere") == {}


def test_the_engine_heeds_them_and_a_smaller_copy_keeps_them(tmp_path: Path) -> None:
    folder = wishes(write_checkpoint(tmp_path / "tiny"), '{"temperature": 0.25, "top_k": 7, "top_p": 0.5}')
    whole, small = tmp_path / "whole.gguf", tmp_path / "small.gguf"
    convert.convert(folder, whole)
    quantize(whole, small, 8)
    for path in (whole, small):
        with llama_engine.running(path, 264) as engine:
            found = engine.sampling()
        assert found["temperature"] == pytest.approx(0.25)
        assert (found["top_k"], found["top_p"]) == (7, pytest.approx(0.5))
