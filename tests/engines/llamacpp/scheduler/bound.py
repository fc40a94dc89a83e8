"""Answers that must be calls, drawn without a model's say: `python -m engines.llamacpp.scheduler.bound PATH VERSION`
draws one for each family with the library at PATH, and prints them as a JSON object.

A process has one library, so that another than the one in use needs a process of its own.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from penjing.engines.llamacpp.scheduler import families, forcing
from penjing.engines.llamacpp.scheduler.families import Family
from penjing.native.library import take
from penjing.native.model import Model
from penjing.native.sampler import Sampler, Sampling
from penjing.store.resolve import guide

PARAMETERS = {
    "type": "object",
    "properties": {"a": {"const": "x"}},
    "required": ["a"],
    "additionalProperties": False,
}
TOOLS = [{"function": {"name": "f", "parameters": PARAMETERS}}]


def bound(family: Family) -> str:
    """What the grammar of a call lets through where every token is as likely, but those that begin with `<` more."""
    with Model(guide(), vocabulary_only=True) as model:
        logits = np.zeros(model.vocabulary_size, np.float32)
        logits[[token for token in range(len(logits)) if model.piece(token).startswith(b"<")]] = 9
        raw = b""
        sampling = Sampling(temperature=1, seed=1, grammar=forcing.required(family, TOOLS, model))
        with Sampler(model, sampling) as sampler:
            while (token := sampler.choose(logits)) not in model.ends and len(raw) < 1000:
                sampler.accept(token)
                raw += model.piece(token, special=True)
    return raw.decode()


if __name__ == "__main__":
    take(sys.argv[1], sys.argv[2])
    print(json.dumps({family.name: bound(family) for family in families.families()}))
