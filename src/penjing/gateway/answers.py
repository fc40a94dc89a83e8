"""The answers that were given lately, so that a person can say what they think of one.

An answer is known by the id in its header `x-penjing-answer`, in OpenAI's dialect also by the id in its body.

Does not know: what is done with opinions.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from penjing.errors import InputError


class NoSuchAnswer(InputError):
    """Facts: `id`."""

    template = "No answer '{id}' is remembered here."
    hint = "Give the x-penjing-answer header of a recent answer, or in OpenAI's dialect the id in its body."
    code = "no_such_answer"
    status = 404


@dataclass(frozen=True)
class Given:
    """An answer: who asked (`key`) which `model`, which `engine` answered, on which `arm` ("" where nothing is tried)
    and in which `conversation` (a lot in [0, 1))."""

    id: str
    key: str
    model: str
    engine: str = ""
    arm: str = ""
    conversation: float = 0.0


class Answers:
    """The last `most` answers; the oldest are forgotten."""

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self._given: OrderedDict[str, Given] = OrderedDict()

    def keep(self, given: Given, *names: str) -> None:
        """Remember an answer under its id and other `names`."""
        for name in (given.id, *names):
            self._given[name] = given
        while len(self._given) > 2 * self.most:
            self._given.popitem(last=False)

    def find(self, id: str, key: str) -> Given:
        """The answer `id` that was given to `key`. Raises NoSuchAnswer."""
        found = self._given.get(id)
        if found is None or found.key != key:
            raise NoSuchAnswer(id=id, param="id")
        return found
