"""Tasks of lm-eval from local files, through its own loader, on our engine."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from penjing.shrink.evaluate.engine import Engine
from penjing.shrink.evaluate.harness import BadHarnessTask, NoShare
from penjing.shrink.evaluate.run import evaluate
from penjing.shrink.evaluate.tasks import task
from penjing.shrink.extra import ShrinkExtraMissing
from penjing.store.resolve import guide

pytestmark = pytest.mark.filterwarnings("ignore")  # of lm-eval, datasets and what they import, not ours
CHOICES = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: gold
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""
WORDS = """
task: words
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{choices[gold]}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 8, do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""
PERPLEXITY = """
task: rolling
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{q}}}}"
metric_list: [{{metric: word_perplexity}}]
"""


def written(folder: Path, form: str) -> Path:
    """A task with its questions."""
    rows = [{"q": f"{one} + 2 =", "choices": [f"{one + 2}", "banana"], "gold": 0} for one in range(6)]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(each) + "\n" for each in rows))
    path = folder / "task.yaml"
    path.write_text(form.format(data=data))
    return path


@pytest.mark.skipif(find_spec("lm_eval") is not None, reason="here it is installed")
def test_without_the_extra_the_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(ShrinkExtraMissing, match="lm_eval"):
        task(str(written(tmp_path, CHOICES)))


@pytest.mark.extras
def test_choices_and_words(tmp_path: Path) -> None:
    """The likelihoods are those that our own choices are judged by."""
    path = written(tmp_path, CHOICES)
    (sums,) = task(str(path))
    assert (sums.name, sums.metric) == ("sums", "acc_norm")
    found = evaluate(guide(), guide(), texts=[], tasks=[sums], threads=1)
    (result,) = found.tasks
    assert result.questions == 6
    assert result.accuracy.value == result.parent_accuracy
    with Engine(guide(), threads=1) as engine:
        pairs = [
            (engine.tokenize("0 + 2 =", special=False), engine.tokenize(each, special=False))
            for each in (" 2", " banana")
        ]
        likely = [each for each, _ in engine.likelihoods(pairs)]
        told: list[float] = []
        points = sums.points(engine, told.append)
        assert points[0] == float(likely[0] / 1 > likely[1] / 6)
        assert told
        (few,) = task(str(path), 2)
        assert np.array_equal(few.points(engine, told.append), points[[0, 3]])
        (words,) = task(str(written(tmp_path, WORDS)))
        assert words.metric == "exact_match"
        assert set(words.points(engine, told.append)) <= {0.0, 1.0}
        assert words.digest != sums.digest


@pytest.mark.extras
@pytest.mark.parametrize(
    ("form", "error", "told"),
    [
        (PERPLEXITY, NoShare, "word_perplexity"),
        ("task: [", BadHarnessTask, "task.yaml"),
        (CHOICES.replace("dataset_path: json", "dataset_path: allenai/ai2_arc"), BadHarnessTask, "task.yaml"),
    ],
)
def test_what_cannot_be_asked(tmp_path: Path, form: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        task(str(written(tmp_path, form)))
