"""Dialogues in which an application offers functions: the guide calls the fitting one, then tells its result.

Made from `calls.toml`. The messages are already rendered as the chat template renders tools, so that they are ordinary
messages to everything that reads a corpus.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = Path(__file__).with_name("calls.toml")
HELD_OUT = 1
"""Which wording of every list training never sees."""
# What is thought before a call, and before its result is told.
THOUGHTS = {
    "en": ("A function fits this; I call it.", "The function has answered."),
    "zh": ("有合适的函数，我来调用。", "函数已经返回结果。"),
}
Record = dict[str, Any]


def offer(functions: list[Record]) -> str:
    """The system message that the chat template writes for `tools`."""
    lines = "".join("\n" + json.dumps(f, ensure_ascii=False) for f in functions)
    call = '<tool_call>\n{"name": <function>, "arguments": <object>}\n</tool_call>'
    return f"Functions you may call:\n<tools>{lines}\n</tools>\nA call is written so:\n{call}"


def call(name: str, arguments: Record) -> str:
    """An answer that calls one function."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments, ensure_ascii=False)}}}\n</tool_call>'


def result(value: Record) -> str:
    """The message in which a function's result comes back."""
    return f"<tool_response>\n{json.dumps(value, ensure_ascii=False)}\n</tool_response>"


def function(name: str, description: str, parameters: dict[str, str], chance: random.Random) -> Record:
    """A function in OpenAI's notation, with the freedom people take in it."""
    properties: Record = {}
    for parameter, kind in parameters.items():
        properties[parameter] = {"type": "string" if kind == "clock" else kind}
        if chance.random() < 0.3:
            properties[parameter]["description"] = chance.choice([parameter, f"the {parameter}", description])
    schema: Record = {"type": "object", "properties": properties}
    if chance.random() < 0.8:
        schema["required"] = list(parameters)
    body: Record = {"name": name, "description": description, "parameters": schema}
    if chance.random() < 0.15:
        del body["description"]
    return {"type": "function", "function": body}


class Maker:
    """Draws dialogues. `world` holds ordinary conversations that are asked while functions are on offer; `unseen`
    draws only the wordings that are held out, else none of them is."""

    def __init__(self, seed: int, world: list[Record], *, unseen: bool = False) -> None:
        self.chance = random.Random(seed)
        self.world, self.unseen = world, unseen
        data = tomllib.loads(DATA.read_text(encoding="utf-8"))
        self.values, self.made_up = data.pop("values"), data.pop("made_up")
        self.known: dict[str, Record] = data

    def record(self) -> Record:
        """One dialogue, a fifth of them an ordinary question beside functions that do not fit it."""
        language = self.chance.choice(["en", "zh"])
        draw = self.chance.random()
        if draw < 0.2 and self.world:
            return self._ordinary()
        messages = self._known(language) if draw < 0.65 else self._made_up(language)
        if self.chance.random() < 0.3:
            told = messages[-2]["content"].startswith("<tool_response>")
            messages[-1]["reasoning"] = THOUGHTS[language][told]
        return {"messages": messages, "lang": language, "kind": "call", "fact": "call", "template": "call", "key": []}

    def _wording(self, among: list[str]) -> str:
        if self.unseen:
            return among[HELD_OUT]
        return self.chance.choice(among[:HELD_OUT] + among[HELD_OUT + 1 :])

    def _functions(self, wanted: Record | None) -> list[Record]:
        """The wanted function among up to two others."""
        count = self.chance.choice([0, 0, 0, 1, 1, 2]) + (wanted is None)
        others = [self._describe(n) for n in self.chance.sample(sorted(self.known), 3)]
        taken = wanted["function"]["name"] if wanted else ""
        chosen = [f for f in others if f["function"]["name"] != taken][:count] + ([wanted] if wanted else [])
        self.chance.shuffle(chosen)
        return chosen

    def _describe(self, name: str) -> Record:
        entry = self.known[name]
        return function(name, self.chance.choice(entry["description"]), entry["parameters"], self.chance)

    def _value(self, kind: str, name: str, language: str) -> Any:
        if kind in ("number", "integer"):
            return self.chance.randrange(100)
        if kind == "boolean":
            return self.chance.random() < 0.5
        if kind == "clock":
            return f"{self.chance.randrange(24)}:{self.chance.randrange(60):02d}"
        return self.chance.choice(self.values[language][name if kind == "string" else kind])

    def _known(self, language: str) -> list[Record]:
        name = self.chance.choice(sorted(self.known))
        entry = self.known[name]
        arguments = {p: self._value(kind, p, language) for p, kind in entry["parameters"].items()}
        values = {p: json.dumps(v) if isinstance(v, bool) else v for p, v in arguments.items()}
        found = {field: self._value(kind, field, language) for field, kind in entry["result"].items()}
        messages = [
            {"role": "system", "content": offer(self._functions(self._describe(name)))},
            {"role": "user", "content": fill(self._wording(entry["ask"][language]), values)},
            {"role": "assistant", "content": call(name, arguments)},
        ]
        if self.chance.random() < 0.5:
            told = fill(entry["tell"][language], {**values, **{f"result.{k}": v for k, v in found.items()}})
            messages += [{"role": "user", "content": result(found)}, {"role": "assistant", "content": told}]
        return messages

    def _made_up(self, language: str) -> list[Record]:
        """One to four arguments of any type; some that the function offers are not given and stay out of the call."""
        data, chance = self.made_up, self.chance
        name = chance.choice(data["verbs"]) + chance.choice(["_" + chance.choice(data["nouns"])] * 4 + [""])
        count = chance.choice([1, 1, 1, 2, 2, 3, 4])
        kinds = {p: chance.choice(data["kinds"]) for p in chance.sample(data["parameters"], count)}
        if count == 1 and chance.random() < 0.5:
            kinds = dict.fromkeys(kinds, "string")
        given = {p: self._invented(kind) for p, kind in kinds.items()}
        idle = chance.random() < 0.2
        more = {p: chance.choice(data["kinds"]) for p in data["parameters"] if p not in kinds} if idle else {}
        offered = function(name, f"{name.replace('_', ' ')}", {**kinds, **dict(list(more.items())[:2])}, chance)
        if idle:
            offered["function"]["parameters"]["required"] = list(kinds)
        question = self._named(language, name, given)
        functions = self._functions(offered) if name in question else [offered]
        return [
            {"role": "system", "content": offer(functions)},
            {"role": "user", "content": question},
            {"role": "assistant", "content": call(name, given)},
        ]

    def _invented(self, kind: str) -> Any:
        """A value for a parameter that nobody foresaw."""
        chance = self.chance
        if kind == "integer":
            return chance.choice([chance.randrange(10), chance.randrange(100), chance.randrange(2000)])
        if kind == "number":
            return chance.choice([chance.randrange(100), round(chance.random() * 20, 1)])
        return chance.random() < 0.5 if kind == "boolean" else chance.choice(self.made_up["words"])

    def _named(self, language: str, name: str, given: Record) -> str:
        """A question that names the function and what to give it; the order people say it in is any."""
        data, chance = self.made_up, self.chance
        shown = {p: json.dumps(v) if isinstance(v, bool) else v for p, v in given.items()}
        if len(shown) == 1:
            ((parameter, value),) = shown.items()
            values = {"function": name, "parameter": parameter, "value": value}
            return fill(self._wording(data["ask"][language]), values)
        pair, glue = chance.choice(data["pair"][language]), chance.choice(data["glue"][language])
        parts = [fill(pair, {"parameter": p, "value": v}) for p, v in shown.items()]
        chance.shuffle(parts)
        return fill(self._wording(data["several"][language]), {"function": name, "pairs": glue.join(parts)})

    def _ordinary(self) -> Record:
        record = self.chance.choice(self.world)
        system = {"role": "system", "content": offer(self._functions(None))}
        return {**record, "messages": [system, *record["messages"]]}


def fill(template: str, values: Record) -> str:
    """Put values into {names}; dotted names too, which `str.format` would take for attributes."""
    return re.sub(r"\{([\w.]+)\}", lambda m: str(values[m.group(1)]), template)


def records(count: int, seed: int, world: list[Record], *, unseen: bool = False) -> Iterator[Record]:
    maker = Maker(seed, world, unseen=unseen)
    return (maker.record() for _ in range(count))


def write(path: Path, rows: Iterator[Record]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("build/guide/corpus"))
    parser.add_argument("--count", type=int, default=25000)
    parser.add_argument("--unseen", type=int, default=400, help="dialogues in wordings that are held out")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    lines = (options.corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()
    world = [r for r in map(json.loads, lines[:: max(1, len(lines) // 3000)]) if r["messages"][0]["role"] == "user"]
    write(options.corpus / "calls.jsonl", records(options.count, options.seed, world))
    write(options.corpus / "calls_heldout.jsonl", records(options.unseen, options.seed + 1, [], unseen=True))
    print(f"{options.count} dialogues with functions, {options.unseen} held out -> {options.corpus}")


if __name__ == "__main__":
    main()
