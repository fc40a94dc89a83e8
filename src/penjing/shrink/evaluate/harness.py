"""Tasks of EleutherAI's lm-eval, loaded by its own loader from local files and asked on our engine. Extra: `shrink`.

Nothing is fetched: its tasks must name data on this machine (`dataset_path: json` with `data_files`).

Does not know: which tasks there are, how they are judged (lm-eval does).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penjing.errors import InputError
from penjing.shrink.evaluate.engine import Engine
from penjing.shrink.evaluate.statistics import Floats
from penjing.shrink.evaluate.tasks import Task, Told, evenly, parted
from penjing.shrink.extra import require

if TYPE_CHECKING:
    from lm_eval.api.model import LM

PREFERRED = ("acc_norm", "acc", "exact_match")
"""Metrics of one question, the first that a task has."""
FEWSHOT_SEED = 1234
"""lm-eval's own default."""
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}
"""Nothing is fetched, and only our own bars are shown; read when these packages are imported."""
LONGEST_ANSWER = 256
"""Tokens, where a task says nothing (lm-eval's own default)."""


class BadHarnessTask(InputError):
    """Facts: `path`, `detail`."""

    template = "lm-eval cannot use {path}: {detail}"
    hint = "The task must be a .yaml whose data are local files: dataset_path: json, dataset_kwargs: data_files."
    code = "bad_harness_task"


class NoShare(InputError):
    """Facts: `name`, `metrics`."""

    template = "The task {name} is not judged question by question with points from 0 to 1, but by {metrics}."
    hint = "Take a task with one of the metrics acc, acc_norm, exact_match; for perplexity use --text."
    code = "task_without_share"


def tasks(path: Path, most: int | None) -> Sequence[Task]:
    """The tasks of a .yaml file or a folder of these. Raises ShrinkExtraMissing, BadHarnessTask."""
    require("lm_eval", "datasets")
    os.environ.update(ENVIRONMENT)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from lm_eval.tasks import TaskManager

    files = sorted(path.glob("*.y*ml")) if path.is_dir() else [path]
    try:
        folder = path if path.is_dir() else path.parent
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        found = manager.load([str(each) for each in files])["tasks"]
    except Exception as error:  # whatever a task's author, its template or `datasets` came upon
        detail = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise BadHarnessTask(path=path, detail=detail) from error
    return [Harness(each, most) for each in found.values()]


class Harness:
    """One task."""

    def __init__(self, task: Any, most: int | None) -> None:
        self.task, self.most = task, most
        self.name = str(task.task_name)
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
        rows = [dict(each) for each in task.eval_docs]
        self.count = len(rows)
        docs = json.dumps(rows, ensure_ascii=False, default=str)
        told = json.dumps(task.dump_config(), ensure_ascii=False, default=str)
        self.digest = hashlib.sha256((told + docs).encode(errors="surrogatepass")).hexdigest()
        self.metric = next((each for each in PREFERRED if each in task._metric_fn_list), "")
        if not self.metric:
            raise NoShare(name=self.name, metrics=", ".join(task._metric_fn_list))

    def points(self, engine: Engine, told: Told) -> Floats:
        """What each question got. Raises NoShare, QuestionTooLong."""
        from lm_eval.evaluator import evaluate

        # `simple_evaluate` around this asks git, pip and the hardware about themselves, which takes half a minute
        asked: Any = {"tasks": {self.name: self.task}, "groups": {}, "group_map": {}}
        chosen = {self.name: evenly(range(self.count), self.most)}
        found: Any = evaluate(_model(engine, told), asked, samples=chosen, bootstrap_iters=0, log_samples=True)
        samples = found["samples"][self.name]
        first = [each for each in samples if each["filter"] == samples[0]["filter"]]
        first.sort(key=lambda each: int(each["doc_id"]))
        points = np.array([float(each[self.metric]) for each in first])
        if not ((points >= 0) & (points <= 1)).all():
            raise NoShare(name=self.name, metrics=self.metric)
        return points


def _model(engine: Engine, told: Told) -> LM:
    """Our engine as lm-eval sees models; made here, since its base class comes with the extra."""
    from lm_eval.api.model import LM

    class Ours(LM):  # type: ignore[misc]  # lm-eval comes without types
        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            pairs = [_pair(engine, *each.args) for each in requests]
            return engine.likelihoods(pairs, lambda done: told(done / len(pairs)))

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise NoShare(name=requests[0].task_name, metrics="loglikelihood_rolling")

        def generate_until(self, requests: list[Any]) -> list[str]:
            found = []
            for done, each in enumerate(requests):
                told(done / len(requests))
                given, how = each.args
                until = how.get("until") or []
                prompt = engine.begun(engine.tokenize(given, special=False))
                most = int(how.get("max_gen_toks", LONGEST_ANSWER))
                found += engine.answers([prompt], most, [until] if isinstance(until, str) else until)
            return found

    return Ours()


def _pair(engine: Engine, given: str, then: str) -> tuple[list[int], list[int]]:
    """In tokens. With nothing given the model's first token is, or the token that ends its texts."""
    if given:
        return parted(engine, given, then)
    begin = engine.model.special("bos") if engine.bos is None else engine.bos
    end = engine.model.special("eos")
    return [next(each for each in (begin, end, 0) if each is not None)], engine.tokenize(then, special=False)
