"""A teacher that is asked over OpenAI's API: its answers to the data's questions become the words that are learned.

    OUTPUT.answers.jsonl    one conversation a line, in the order of the questions; what is there is not asked again

Does not know: training.
"""

from __future__ import annotations

import hashlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from penjing.errors import InputError
from penjing.files import write_whole
from penjing.progress import Progress, Report
from penjing.shrink.distill.faults import ConsentMissing, NoQuestions, TeacherFailed
from penjing.shrink.finetune import rows

TRIES, WAIT = 5, 2.0
"""A busy or restarting server is asked again, after 2, 4, 8 ... seconds."""
AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
PATIENCE = 300.0
AT_ONCE = 4


class OtherAnswers(InputError):
    """Facts: `path`."""

    template = "{path} holds a teacher's answers to other questions, or another teacher's."
    hint = "Remove it, or choose another --output."
    code = "other_answers"


@dataclass(frozen=True)
class Teacher:
    """A server at `url` (with or without /v1) that is asked for `model`, with `key` if it wants one. `consent`: what
    allows its answers to be learned from, in the user's words. Raises ConsentMissing."""

    url: str
    model: str
    consent: str
    key: str = ""
    tokens: int = 1024

    def __post_init__(self) -> None:
        if not self.consent.strip():
            raise ConsentMissing(url=self.url)

    @property
    def agreed(self) -> dict[str, object]:
        """For the manifest; without the key."""
        when = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return {"teacher": self.url, "model": self.model, "terms": self.consent, "when": when}

    def answer(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Its answer, drawn greedily. Raises TeacherFailed."""
        body = {"model": self.model, "messages": list(messages), "temperature": 0, "max_tokens": self.tokens}
        base = self.url.rstrip("/")
        place = (base if base.endswith("/v1") else base + "/v1") + "/chat/completions"
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        for attempt in range(TRIES):
            try:
                request = urllib.request.Request(place, json.dumps(body).encode(), headers)
                with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
                    return str(json.load(reply)["choices"][0]["message"]["content"] or "")
            except urllib.error.HTTPError as error:
                detail = f"{error.code} {error.read(300).decode('utf-8', 'replace')}"
                if error.code not in AGAIN:
                    break
            except (OSError, ValueError, LookupError, TypeError) as error:
                detail = f"{type(error).__name__}: {error}"
            if attempt + 1 < TRIES:
                time.sleep(WAIT * 2**attempt)
        raise TeacherFailed(url=self.url, detail=detail)


def answers(output: Path) -> Path:
    """Where the answers for `output` are kept."""
    return output.with_name(output.name + ".answers.jsonl")


def ask(teacher: Teacher, data: Sequence[Path], output: Path, report: Report | None = None) -> Path:
    """All questions of `data` answered by `teacher`, as a file of conversations. Raises NoQuestions, TeacherFailed,
    OtherAnswers, and what reading `data` raises."""
    questions = [_question(row) for row in rows.read(data)]
    questions = [each for each in questions if each]
    if not questions:
        raise NoQuestions(path=", ".join(map(str, data)))
    target = answers(output)
    mark = _mark(teacher, questions)
    done = _done(target, mark)
    with target.open("ab") as stream, ThreadPoolExecutor(AT_ONCE) as pool:
        for number, said in enumerate(_answered(teacher, pool, questions[done:]), done + 1):
            told = {"messages": [*questions[number - 1], {"role": "assistant", "content": said}]}
            stream.write(json.dumps(told, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            if report:
                report(Progress(number / len(questions), "asking"))
    return target


def _answered(teacher: Teacher, pool: ThreadPoolExecutor, questions: Sequence[Any]) -> Iterator[str]:
    """In their order, a few at once, so that little is asked in vain when one fails."""
    for at in range(0, len(questions), AT_ONCE):
        yield from pool.map(teacher.answer, questions[at : at + AT_ONCE])


def _question(row: rows.Row) -> tuple[dict[str, Any], ...]:
    """Everything before the last answer."""
    told = [dict(message) for message in row.messages]
    last = next((at for at in range(len(told) - 1, -1, -1) if told[at]["role"] == "assistant"), len(told))
    return tuple(told[:last])


def _mark(teacher: Teacher, questions: Sequence[Any]) -> str:
    told = json.dumps([teacher.url, teacher.model, questions], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _done(target: Path, mark: str) -> int:
    """How many answers are there already; a line that was cut short is taken away. The mark of what was asked stands
    in a file beside them."""
    beside = target.with_name(target.name + ".asked")
    if not target.exists():
        write_whole(beside, mark.encode())
        return 0
    if not beside.is_file() or beside.read_text() != mark:
        raise OtherAnswers(path=str(target))
    content = target.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_whole(target, whole)
    return whole.count(b"\n")
