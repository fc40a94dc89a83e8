from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from penjing.manifest import Manifest
from penjing.operate.release.yardstick import NAME, body, of_version, read, said
from penjing.shrink.evaluate.questions import NotAYardstick
from penjing.store.versions import Store


def written(folder: Path, *lines: object) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines), encoding="utf-8")
    return path


def test_an_answer_that_is_shown_is_not_put(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (found,) = read(written(tmp_path, {"messages": messages, "key": [["b"]], "lang": "en", "more": 1}))
    told = json.loads(body(found, "m"))
    assert told["messages"] == messages[:1]
    assert (told["temperature"], told["model"]) == (0, "m")


def test_a_choice_is_no_question_for_a_server(tmp_path: Path) -> None:
    lines = ({"question": "a", "key": [["b"]]}, {"question": "a", "choices": ["b", "c"], "answer": "b"})
    with pytest.raises(NotAYardstick, match=r"line 2.*likelihoods"):
        read(written(tmp_path, *lines))


def test_whose_questions(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF")
    own = written(tmp_path, {"question": "own", "key": [["x"]]})
    plain = store.add({"m.gguf": model}, Manifest(name="plain", version=""))
    guide = store.add({"m.gguf": model}, Manifest(name="guide", version=""))
    its = store.add({"m.gguf": model, NAME: own}, Manifest(name="its", version=""))
    general = read(Path(str(resources.files("penjing") / "data" / NAME)))
    assert of_version(plain, "") == general
    assert len(general) >= 40
    assert len(of_version(guide, "")) > 2000
    assert [each.question for each in of_version(its, "")] == ["own"]
    assert [each.question for each in of_version(plain, str(own))] == ["own"]


def test_what_an_engine_said() -> None:
    assert said(b'{"choices": [{"message": {"content": "yes"}}]}') == "yes"
    assert said(b'{"choices": [{"message": {"content": null}}]}') == said(b"nonsense") == said(b"{}") == ""
