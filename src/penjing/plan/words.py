"""The answer in sentences: what fits, why this quantization, what is assumed, what would do instead.

Does not know: which language, where it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator

from penjing.files import human
from penjing.plan import devices
from penjing.plan.answer import COMFORTABLE, Answer, Row, longest, same
from penjing.plan.layers import assumptions
from penjing.plan.memory import Terms
from penjing.plan.place import Place
from penjing.plan.said import Said, said
from penjing.plan.speed import Interval
from penjing.plan.split import most_layers, split
from penjing.plan.weights import repacking

SMALLER = "q8_0"
"""The type of keys and values that is proposed where room is short: next to nothing is lost with it."""
REASONS = {
    "asked": "you asked for it",
    "only": "it is the only one there is",
    "best": "it fits, and more bits would change nothing that people notice",
    "fast": "of those that hardly change the answers it is the largest that writes {comfortable:.0f} tokens a second",
    "fastest": "none of those that hardly change the answers is quick here; this one is among the quickest",
    "largest": "it is the best that fits",
    "tight": "memory is short: it leaves the most room for the conversation",
}
ASSUMED_OF = {
    "memory": "memory",
    "transfers": "memory speed",
    "bus": "memory speed",
    "bandwidth": "memory speed",
    "sustained": "the share of it that programs reach",
    "usable": "the share of the memory that one program may take",
    "cores": "cores",
    "instructions": "instruction sets",
}


def place(found: Place) -> Said:
    """Where it would run, and what it may take there."""
    budget = human(found.budget)
    if found.here:
        return said("this machine, {budget} for it", budget=budget)
    return said("{device}, {budget} for it", device=found.name, budget=budget)


def verdict(answer: Answer) -> Said:
    """Whether it fits, in one sentence."""
    row = answer.chosen
    if row is None:
        return _not(answer)
    facts = {"label": row.label, "context": f"{row.context:,}", "slots": row.slots}
    if row.verdict == "shorter":
        return said(
            "Fits with less context: {label} with {context} tokens in place of {wanted}.",
            wanted=f"{answer.wanted:,}",
            **facts,
        )
    if row.slots > 1:
        return said("Fits: {label}, {slots} conversations of {context} tokens at once.", **facts)
    if row.longest <= row.context:
        return said("Fits: {label} with {context} tokens of context.", **facts)
    return said("Fits: {label} with {context} tokens of context; up to {longest}.", longest=f"{row.longest:,}", **facts)


def _not(answer: Answer) -> Said:
    asked = next((row for row in answer.rows if same(row.label, answer.wish.quantization)), answer.smallest)
    row = asked if answer.nearest is not None else answer.smallest
    return said(
        "Does not fit: {label} needs {needed}, and {budget} may be taken here.",
        label=row.label,
        needed=human(row.need.total),
        budget=human(answer.place.budget),
    )


def nearest(answer: Answer) -> Iterator[Said]:
    """What would do, where it does not fit or not with the wished context."""
    row = answer.chosen
    if row is not None and answer.verdict == "shorter" and answer.wish.kv_type in ("f16", "bf16", "f32"):
        more = longest(answer, row, SMALLER)
        if more > row.longest:
            yield said("With --kv-type {kind}: {context} tokens.", kind=SMALLER, context=f"{more:,}")
    if answer.nearest is not None:
        row = answer.nearest
        yield said(
            "Nearest that does: {label} with {context} tokens of context, {needed}.",
            label=row.label,
            context=f"{row.context:,}",
            needed=human(row.need.total),
        )
        return
    if answer.chosen is None:
        needed = answer.smallest.need.total
        fitting = [one for one in devices.catalogue().values() if one.budget >= needed]
        names = ", ".join(one.name for one in sorted(fitting, key=lambda one: one.memory)[:3])
        yield said(
            "A machine would do of which one program may take {needed}: {names}.",
            needed=human(needed),
            names=names or "-",
        )


def reason(answer: Answer) -> Said:
    """Why the chosen one."""
    return said(REASONS[answer.reason], comfortable=COMFORTABLE)


def quality(row: Row) -> Said:
    """What is known of a row's quality."""
    known = row.quality
    facts = {
        "grade": said(known.grade),
        "kl": f"{known.kl:.4f}",
        "rise": f"{known.perplexity:.2f}",
        "model": known.model,
    }
    if known.basis == "assumed":
        return said("{grade} (assumed from its bits a weight)", **facts)
    if not known.source:
        return said("{grade}: it is not quantized", **facts)
    if known.basis == "relative":
        return said("{grade}: KL {kl}, perplexity +{rise} measured for a near mixture on {model}", **facts)
    return said("{grade}: KL {kl}, perplexity +{rise} measured on {model}", **facts)


def memory(row: Row) -> Said:
    """What the memory is made of."""
    need = row.need
    return said(
        "about {total} = weights {weights} + context {kv} + computing {compute} + engine {runtime}",
        total=human(need.total),
        weights=human(need.weights),
        kv=human(need.kv),
        compute=human(need.compute),
        runtime=human(need.runtime),
    )


def on_card(answer: Answer, row: Row) -> Said | None:
    """How much of it the GPU takes; None without a GPU that has memory of its own."""
    if not answer.place.card:
        return None
    model = row.candidate.model
    terms = Terms(kv_type=answer.wish.kv_type, repacks=repacking(answer.place.machine))
    layers = most_layers(model, row.context, row.slots, answer.place.card, terms)
    size = human(split(model, row.context, row.slots, layers, terms).gpu.total)
    return said("{count} of {all} layers ({size})", count=layers, all=model.layers + 1, size=size)


def interval(found: Interval) -> str:
    """The likely one, and between which.

    >>> interval(Interval(8.5, 10.04, 115.0))
    '10.0 (8.5 … 115)'
    """
    return f"{rate(found.likely)} ({rate(found.low)} … {rate(found.high)})"


def rate(tokens_per_s: float) -> str:
    """Three digits say enough."""
    return f"{tokens_per_s:.1f}" if tokens_per_s < 100 else f"{tokens_per_s:,.0f}"


def remarks(answer: Answer) -> Iterator[Said]:
    """What a reader should know about these figures; everything that is assumed is named."""
    place = answer.place
    if place.here and place.device is not None:
        yield said(
            "Speeds are assumed, as of {device}: this machine has not been measured. Measure it: penjing probe "
            "--calibrate",
            device=place.device.name,
        )
    elif place.device is not None and place.assumed:
        names = dict.fromkeys(ASSUMED_OF[name] for name in place.assumed)
        yield said("Assumed of {device}: {what}.", device=place.device.name, what=tuple(map(said, names)))
        yield said("Speeds are those of its processor cores; they are assumed, nothing was measured there.")
    if place.here and place.calibration.noisy:
        yield said(
            "Other programs ran while this machine was measured: it may be faster. Again: penjing probe --calibrate"
        )
    if place.here and any(not gpu.shared for gpu in place.machine.gpus):
        yield said("Speeds are those of the processor; a GPU is faster.")
    trained = answer.rows[0].candidate.model.context
    if trained and answer.wish.context is not None and answer.wish.context > trained:
        yield said("The model was trained for {tokens} tokens; more is not planned.", tokens=f"{trained:,}")
    for words in assumptions(answer.rows[0].candidate.model):
        yield said(words)
    if any(row.quality.basis == "assumed" for row in answer.rows):
        yield said("Where nothing is published of a quantization, its quality is assumed from its bits a weight.")
    if any(row.candidate.origin == "computed" for row in answer.rows):
        yield said("Quantizations marked * are computed: neither is the file here nor does penjing make it.")
    if place.device is not None and not place.here:
        yield from published(place.device)


def published(device: devices.Device) -> Iterator[Said]:
    """Speeds that were published for a device beside what its memory allows."""
    found = [one for one in devices.published() if one.device == device.name]
    told = tuple(
        said(
            "{model} {speed:g} tokens/s ({bits} bits; memory allows {ceiling:.1f})",
            model=one.model,
            speed=one.tokens_per_second,
            bits=one.bits,
            ceiling=one.ceiling(device),
        )
        for one in found
    )
    if found:
        yield said("Published for {device}: {speeds}.", device=device.name, speeds=told)
    if any(not one.believable(device) for one in found):
        yield disagree()


def disagree() -> Said:
    """What is said where somebody published more than memory allows."""
    return said(
        "The published and the possible disagree: all weights are read once a token, and memory cannot deliver them so "
        "often. Fewer bits or weights must have been read, or something else was counted; how it was measured is not "
        "known."
    )
