"""Rows of new tokens are trained, and nothing else; transformers reads what comes of it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from grown_tokenizers import paragraphs
from penjing.errors import PenjingError
from penjing.progress import Progress
from penjing.shrink.finetune.faults import Unfinished
from penjing.shrink.texts.text import Document, Text
from penjing.shrink.vocabulary import embeddings
from penjing.shrink.vocabulary.grow import grow

pytestmark = pytest.mark.extras
CHINESE = Text("zh", tuple(Document(part) for part in paragraphs("zh")))
GUIDE = Path(str(resources.files("penjing"))) / "data" / "guide"
STEPS, SIZE = 4, 200


def test_only_new_rows_are_trained_and_a_stopped_run_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "new"
    seen = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if getattr(progress, "done", 0) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embeddings.grow_and_train(GUIDE, [CHINESE], output, SIZE, STEPS, report=stop)
    assert embeddings.unfinished(output)
    assert not output.exists()
    with pytest.raises(Unfinished):
        embeddings.grow_and_train(GUIDE, [CHINESE], output, SIZE, STEPS)
    grown, outcome = embeddings.grow_and_train(GUIDE, [CHINESE], output, SIZE, STEPS, resume=True)
    assert outcome.state.step == STEPS
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new"]
    steps = [step["step"] for step in grown.manifest.recipe["steps"]]  # type: ignore[attr-defined]  # a list
    assert steps == ["vocabulary", "embeddings"]
    _compare(tmp_path / "new", tmp_path / "means", grown.first)


def _compare(trained: Path, means: Path, first: int) -> None:
    import transformers

    grow(GUIDE, [CHINESE], means, SIZE)
    before, after = (
        transformers.AutoModelForCausalLM.from_pretrained(each, dtype="float32").state_dict()
        for each in (means, trained)
    )
    for name, old in before.items():
        new = after[name].numpy()
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            assert (new[:first] == old[:first].numpy()).all()
            assert np.abs(new[first:] - old[first:].numpy()).max() > 1e-4
        else:
            assert (new == old.numpy()).all()
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained)
    old_tokenizer = transformers.AutoTokenizer.from_pretrained(GUIDE)
    assert len(tokenizer) == len(old_tokenizer) + SIZE
    for text in paragraphs("en")[:50]:
        assert tokenizer(text)["input_ids"] == old_tokenizer(text)["input_ids"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    english = Text("en", tuple(map(Document, paragraphs("en"))))
    with pytest.raises(PenjingError, match="LATIN"):
        embeddings.grow_and_train(GUIDE, [english], tmp_path / "new", SIZE, STEPS)
    assert list(tmp_path.iterdir()) == []
