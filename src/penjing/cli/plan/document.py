"""A plan for programs: one JSON document, units in the names."""

from __future__ import annotations

import dataclasses
from typing import Any

from penjing.cli.plan.subject import Subject
from penjing.plan import words
from penjing.plan.answer import Answer, Row
from penjing.plan.bill import Bill, pays_off
from penjing.plan.cost import sensitivity
from penjing.plan.place import Place
from penjing.plan.speed import Interval


def document(subject: Subject, answer: Answer, bill: Bill | None) -> dict[str, Any]:
    """Everything of the answer."""
    shown = answer.chosen or answer.nearest
    card = words.on_card(answer, shown) if shown else None
    return {
        "model": {
            "name": subject.name,
            "title": subject.title,
            "architecture": subject.model.architecture,
            "parameters": subject.model.parameters,
            "trained_context_tokens": subject.model.context,
            "licence": subject.licence,
            "page": subject.page,
            "remote": subject.remote,
        },
        "place": place(answer.place),
        "wish": {
            "context_tokens": answer.wanted,
            "slots": answer.wish.slots,
            "quantization": answer.wish.quantization or None,
            "kv_type": answer.wish.kv_type,
        },
        "verdict": {"fits": "fits", "shorter": "fits_with_less_context", "no": "does_not_fit"}[answer.verdict],
        "summary": words.verdict(answer).words(),
        "on_gpu": card.words() if card else None,
        "recommended": answer.chosen.label if answer.chosen else None,
        "reason": words.reason(answer).words() if answer.chosen else None,
        "nearest": answer.nearest.label if answer.nearest else None,
        "quantizations": [quantization(row) for row in answer.rows],
        "cost": cost(bill) if bill is not None else None,
        "remarks": [remark.words() for remark in words.remarks(answer)],
    }


def place(found: Place) -> dict[str, Any]:
    """Where it would run."""
    return {
        "name": found.name,
        "this_machine": found.here,
        "budget_bytes": found.budget,
        "memory_total_bytes": found.machine.memory_total,
        "memory_bandwidth_bytes_per_s": found.calibration.bandwidth,
        "measured": found.device is None,
        "assumed": list(found.assumed),
    }


def quantization(row: Row) -> dict[str, Any]:
    """One of them."""
    known = row.quality
    return {
        "quantization": row.label,
        "origin": row.candidate.origin,
        "verdict": {"fits": "fits", "shorter": "fits_with_less_context", "no": "does_not_fit"}[row.verdict],
        "weights_bytes": row.bytes,
        "bits_per_weight": round(row.candidate.model.bits_per_weight, 3),
        "context_tokens": row.context,
        "longest_context_tokens": row.longest,
        "memory_bytes": {**dataclasses.asdict(row.need), "total": row.need.total},
        "decode_tokens_per_s": interval(row.speed.decode_tokens_per_s),
        "prefill_tokens_per_s": interval(row.speed.prefill_tokens_per_s),
        "prefill_seconds": round(row.speed.prefill_seconds, 4),
        "speed_assumed": row.speed.assumed,
        "quality": {
            "grade": known.grade,
            "kl_nats": known.kl,
            "perplexity_rise": known.perplexity,
            "basis": known.basis,
            "measured_on": known.model,
            "source": known.source,
        },
    }


def cost(bill: Bill) -> dict[str, Any]:
    """The comparison with a cloud. Money in `currency`."""
    found = bill.cost
    return {
        "currency": bill.currency,
        "cloud": bill.cloud,
        "cloud_price_per_million_tokens": {"input": found.price.input, "output": found.price.output},
        "cloud_price_read": bill.read or None,
        "cloud_price_source": bill.source or None,
        "conversations_per_day": found.usage.conversations_per_day,
        "turns": found.usage.turns,
        "question_tokens": found.usage.question_tokens,
        "answer_tokens": found.usage.answer_tokens,
        "cloud_per_conversation": found.cloud_per_conversation,
        "cloud_per_month": found.cloud_per_month,
        "seconds_per_conversation": found.running.seconds,
        "load_share": found.load,
        "watts": found.running.watts,
        "idle_watts": found.running.idle_watts,
        "kwh_per_month": found.kwh_per_month,
        "tariff_per_kwh": found.running.tariff,
        "local_per_month": found.local_per_month,
        "hours": found.setup.hours,
        "hourly_rate": found.setup.rate,
        "hardware": found.setup.hardware,
        "total_once": found.setup.total,
        "break_even_months": found.break_even_months,
        "pays_off": pays_off(bill).words(),
        "months": found.months,
        "saved_after_months": found.saved,
        "assumed": list(bill.assumed),
        "sensitivity": [{**dataclasses.asdict(each)} for each in sensitivity(found)],
    }


def interval(found: Interval) -> dict[str, float]:
    """Rounded: more digits would say more than is known."""
    return {name: float(f"{value:.4g}") for name, value in dataclasses.asdict(found).items()}
