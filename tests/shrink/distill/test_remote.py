"""Teachers behind an API: asked once each, by whose leave is said, killed runs ask no question twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from penjing.shrink.distill import remote
from penjing.shrink.distill.faults import ConsentMissing, NoQuestions, TeacherFailed
from penjing.shrink.distill.remote import OtherAnswers, Teacher, answers, ask


class Server(ThreadingHTTPServer):
    """Answers with the question in capitals; `trouble` are statuses that it says first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.trouble: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:  # the library's name
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers["Authorization"])
        status = self.server.trouble.pop(0) if self.server.trouble else 200
        said = {"choices": [{"message": {"content": body["messages"][-1]["content"].upper()}}]}
        content = json.dumps(said if status == 200 else {"error": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps({"instruction": f"say {n}", "output": "?"}) for n in range(10)))
    return path


def test_its_answers_become_the_words_that_are_learned(server: Server, data: Path, tmp_path: Path) -> None:
    teacher = Teacher(server.url, "big", "Apache-2.0", "secret")
    made = ask(teacher, [data], tmp_path / "out")
    told = [json.loads(line)["messages"] for line in made.read_text().splitlines()]
    assert [each[-1] for each in told] == [{"role": "assistant", "content": f"SAY {n}"} for n in range(10)]
    assert {body["model"] for body in server.asked} == {"big"}
    assert set(server.keys) == {"Bearer secret"}
    assert "secret" not in json.dumps(teacher.agreed)
    assert teacher.agreed["terms"] == "Apache-2.0"


def test_what_is_there_is_not_asked_again(server: Server, data: Path, tmp_path: Path) -> None:
    teacher = Teacher(server.url + "/v1", "big", "mine")
    server.trouble = [200] * 4 + [400] * 6
    with pytest.raises(TeacherFailed, match="400"):
        ask(teacher, [data], tmp_path / "out")
    kept = answers(tmp_path / "out")
    assert len(kept.read_text().splitlines()) == 4
    with kept.open("a") as stream:
        stream.write('{"messages": [{"role": "us')  # as a kill leaves it
    server.trouble, server.asked = [], []
    assert len(ask(teacher, [data], tmp_path / "out").read_text().splitlines()) == 10
    assert len(server.asked) == 6
    with pytest.raises(OtherAnswers):
        ask(Teacher(server.url, "another", "mine"), [data], tmp_path / "out")


def test_a_busy_server_is_asked_again(server: Server, data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.0)
    server.trouble = [503, 429]
    assert len(ask(Teacher(server.url, "m", "mine"), [data], tmp_path / "out").read_text().splitlines()) == 10


def test_what_must_be_said_first(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ConsentMissing):
        Teacher(server.url, "m", " ")
    empty = tmp_path / "texts.jsonl"
    empty.write_text('{"text": "no question"}')
    with pytest.raises(NoQuestions):
        ask(Teacher(server.url, "m", "mine"), [empty], tmp_path / "out")
