"""lm-evaluation-harness measures a model through the server: its `local-chat-completions`, questions of our own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.running import Process

pytest.importorskip("lm_eval", reason="in the environment of foreign clients")
pytestmark = pytest.mark.clients

QUESTIONS = [
    {"question": "What is quantization?", "answer": "bits"},
    {"question": "What is 2 + 3?", "answer": "5"},
    {"question": "What does LoRA do?", "answer": "adapter"},
]
TASK = """
task: own
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  max_gen_toks: 80
  temperature: 0
  until: []
filter_list:
  - name: found
    filter:
      - function: regex
        regex_pattern: "(bits|5|adapter)"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""


def test_it_measures_the_guide(real: Process, tmp_path: Path) -> None:
    data = tmp_path / "questions.jsonl"
    data.write_text("".join(json.dumps(each) + "\n" for each in QUESTIONS), encoding="utf-8")
    (tmp_path / "own.yaml").write_text(TASK.format(data=data), encoding="utf-8")
    model = f"model=guide,base_url={real.base}/chat/completions,num_concurrent=2,tokenized_requests=False"
    command = [sys.executable, "-m", "lm_eval", "--model", "local-chat-completions", "--model_args", model]
    command += ["--tasks", "own", "--include_path", str(tmp_path), "--apply_chat_template"]
    done = subprocess.run(
        [*command, "--output_path", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=300,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "HF_HOME": str(tmp_path),
            "HF_HUB_OFFLINE": "1",
            "OPENAI_API_KEY": "EMPTY",
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = (tmp_path / "out").rglob("results*.json")
    results = json.loads(found.read_text(encoding="utf-8"))["results"]["own"]
    assert results["exact_match,found"] >= 2 / 3
