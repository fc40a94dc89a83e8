"""Sums of invented operations: groups, launches, what is shown of them."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.engines.llamacpp.watch import Operation
from penjing.operate.measure.profile.flame import fitting, flame
from penjing.operate.measure.profile.groups import group, label
from penjing.operate.measure.profile.phase import Launch, Phase, Profile, Timed
from penjing.operate.measure.profile.speedscope import speedscope
from penjing.operate.measure.profile.tree import tree
from penjing.operate.measure.profile.words import about, remarks

SVG = "{http://www.w3.org/2000/svg}"


def operation(op: str, name: str, *inputs: str, layer: int | None = None, parallel: bool = True) -> Operation:
    return Operation(op, name, inputs, ("Q4_K",) * len(inputs) + ("F32",), layer, 100, 10, parallel)


def made(*seconds: float) -> Phase:
    """Products in layers 0, 1, ... that take so long, and a view after each."""
    each = []
    for layer, time in enumerate(seconds):
        weight = f"blk.{layer}.ffn_up.weight"
        each.append(Timed(operation("MUL_MAT", f"ffn_up-{layer}", weight, layer=layer), time))
        each.append(Timed(operation("VIEW", f"ffn_up-{layer} (view)", layer=layer, parallel=False), 0.5))
    return Phase(1, 9, sum(seconds) + 3, 50, 1, 1, 1, 0.0, Launch(0.25, 0.5), tuple(each))


def profiled(phase: Phase) -> Profile:
    return Profile("m <&>", phase, phase, 8, 2, "1.2", "A processor", "2026-01-01T00:00:00+00:00")


def test_launch_is_taken_off_and_views_are_nothing() -> None:
    phase = made(2.25, 3.25, 0.125)
    parts = [part for part in phase.parts() if part.group == "matrix product"]
    assert [part.seconds for part in parts] == [2, 3, 0]  # nothing takes less than nothing
    assert phase.total == 8
    assert phase.accounted == pytest.approx(8 / 8.625)
    assert not phase.close
    assert dataclasses.replace(phase, plain=8.3).close


def test_a_single_thread_is_launched_cheaper() -> None:
    one = Timed(operation("GET_ROWS", "embd", "token_embd.weight", parallel=False), 2.0)
    phase = Phase(1, 1, 1, 1, 0, 0, 0, 0.0, Launch(1.5, 0.5), (one,))
    assert [part.seconds for part in phase.parts() if part.group == "elementwise"] == [1.5]


@pytest.mark.parametrize(
    ("one", "wanted", "called"),
    [
        (operation("MUL_MAT", "Qcur-0", "blk.0.attn_q.weight", "attn_norm-0"), "matrix product", "attn_q"),
        (operation("MUL_MAT", "result_output", "token_embd.weight", "result_norm"), "matrix product", "output"),
        (operation("MUL_MAT", "kq-0", "cache_k_l0 (view)", "Qcur-0"), "attention", "mul_mat"),
        (operation("MUL_MAT", "kqv-0", "v-0", "kq_soft_max-0"), "attention", "mul_mat"),
        (operation("SOFT_MAX", "kq_soft_max-0", "kq-0"), "attention", "soft_max"),
        (operation("SET_ROWS", "cache_k_l0 (view)", "Kcur-0", "idxs", "cache_k_l0"), "attention", "set_rows cache_k"),
        (operation("MUL_MAT_ID", "ffn_moe_up-0", "blk.0.ffn_up_exps.weight", "x"), "matrix product", "ffn_up_exps"),
        (operation("MUL_MAT", "ffn_moe_logits-0", "blk.0.ffn_gate_inp.weight", "x"), "matrix product", "ffn_gate_inp"),
        (operation("SOFT_MAX", "ffn_moe_probs-0", "ffn_moe_logits-0"), "routing", "soft_max"),
        (operation("ARGSORT", "ffn_moe_argsort-0", "ffn_moe_probs-0"), "routing", "argsort"),
        (operation("GLU/SWIGLU", "ffn_moe_swiglu-0", "a", "b"), "elementwise", "swiglu"),
        (operation("MUL", "attn_norm-0", "norm-0", "blk.0.attn_norm.weight"), "normalisation", "mul attn_norm"),
        (operation("ADD", "Qcur-0", "Qcur-0", "blk.0.attn_q.bias"), "elementwise", "add attn_q"),
        (operation("ROPE", "Qcur-0", "Qcur-0", "inp_pos"), "RoPE", "rope"),
        (operation("SSM_SCAN", "y-0", "s"), "recurrence", "ssm_scan"),
        (operation("GATED_DELTA_NET", "y-0", "s"), "recurrence", "gated_delta_net"),
        (operation("ADD", "l_out-0", "a", "b"), "elementwise", "add"),
    ],
)
def test_groups(one: Operation, wanted: str, called: str) -> None:
    assert (group(one), label(one)) == (wanted, called)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12))
def test_all_views_of_a_phase_have_the_same_sum(seconds: list[float]) -> None:
    phase = made(*seconds)
    assert sum(part.seconds for part in phase.groups()) == pytest.approx(phase.total)
    assert sum(part.seconds for part in phase.operators()) == pytest.approx(phase.total)
    assert sum(node.part.seconds for node in tree(phase)) == pytest.approx(phase.total)
    for profile in speedscope(profiled(phase))["profiles"]:
        assert profile["endValue"] == pytest.approx(phase.total * 1e6)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12))
def test_speedscope_events_are_nested_and_in_order(seconds: list[float]) -> None:
    document = json.loads(json.dumps(speedscope(profiled(made(*seconds)))))
    count = len(document["shared"]["frames"])
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    for profile in document["profiles"]:
        assert profile["unit"] == "microseconds"
        if profile["type"] == "sampled":
            assert len(profile["samples"]) == len(profile["weights"])
            assert all(frame < count for stack in profile["samples"] for frame in stack)
            continue
        stack: list[int] = []
        now = 0.0
        for event in profile["events"]:
            assert event["at"] >= now
            now = event["at"]
            if event["type"] == "O":
                stack.append(event["frame"])
            else:
                assert stack.pop() == event["frame"]
        assert not stack
        assert now == profile["endValue"]


def test_flame_is_one_file_whose_parts_lie_inside_each_other() -> None:
    text = flame(profiled(made(2, 3, 1)))
    root = ElementTree.fromstring(text)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    for graph in root.findall(f"{SVG}g"):
        boxes = [(float(one.get("data-x", "")), float(one.get("data-w", ""))) for one in graph]
        (left, whole), *inner = boxes
        assert all(left - 0.01 <= x and x + width <= left + whole + 0.01 for x, width in inner)
        assert all(one.find(f"{SVG}title") is not None for one in graph)
    assert "m &lt;&amp;&gt;" in text
    assert "ffn_up Q4_K → F32" in text


def test_flame_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_LANGUAGE", "zh")
    text = flame(profiled(made(2, 3, 1)))
    assert "矩阵乘法" in text
    assert "matrix product" not in text
    assert ">layer" not in text


@given(st.text(max_size=30), st.floats(0, 300))
def test_labels_fit(label: str, width: float) -> None:
    shown = fitting(label, width)
    assert len(shown) * 6.6 <= max(width, 0)
    assert shown in ("", label) or shown.endswith("…")


def test_what_is_off_is_told() -> None:
    phase = made(2.25, 3.25)
    exact = dataclasses.replace(phase, plain=phase.total)
    assert len(remarks(profiled(exact))) == 3
    busy = dataclasses.replace(profiled(exact), others=1.25)
    assert "Other programs kept 1.2 cores busy meanwhile." in remarks(busy)
    assert any("off by more than 5 %" in text for text in remarks(profiled(phase)))
    assert about("decode", phase).startswith("decode, one token: 8500 ms")
