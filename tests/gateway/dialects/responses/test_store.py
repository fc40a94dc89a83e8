"""Kept answers: bounded in bytes and age, each key's own."""

from __future__ import annotations

import json

import pytest

from penjing.gateway.dialects.responses.store import OVERHEAD, ItemNotFound, PreviousNotFound, ResponseNotFound, Store


def response(id: str, text: str = "answer") -> bytes:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "role": "assistant", "id": f"out_{id}", "content": [part]}
    return json.dumps({"id": id, "output": [item]}).encode()


def question(id: str) -> bytes:
    return json.dumps({"type": "message", "role": "user", "id": f"in_{id}", "content": "question"}).encode()


def put(store: Store, id: str, previous: str = "", key: str = "k") -> None:
    store.put(key, id, response(id), (question(id),), previous, False)


def size(id: str) -> int:
    return len(response(id)) + len(question(id)) + OVERHEAD


def test_history_is_in_the_order_it_was_said() -> None:
    store = Store()
    put(store, "a")
    put(store, "b", "a")
    assert [item.id for item in store.history("k", "b")] == ["in_a", "out_a", "in_b", "out_b"]
    assert store.find("k", "out_a")[0].role == "assistant"


def test_full_it_forgets_what_nobody_asked_for_longest() -> None:
    store = Store(limit=3 * size("a"))
    for id in "abc":
        put(store, id)
    store.get("k", "a")
    put(store, "d")
    assert store.size == 3 * size("a")
    with pytest.raises(ResponseNotFound):
        store.get("k", "b")
    for id in "acd":
        store.get("k", id)


def test_a_conversation_that_goes_on_keeps_its_beginning() -> None:
    store = Store(limit=3 * size("a"))
    put(store, "a")
    put(store, "x")
    for before, id in ("ab", "bc"):
        store.history("k", before)
        put(store, id, before)
    assert len(store.history("k", "c")) == 6
    with pytest.raises(ResponseNotFound):
        store.get("k", "x")


def test_one_larger_than_everything_is_not_kept_and_pushes_nothing_out() -> None:
    store = Store(limit=2 * size("a"))
    put(store, "a")
    store.put("k", "large", response("large", "x" * store.limit), (), "", False)
    assert store.size == size("a")
    with pytest.raises(ResponseNotFound):
        store.get("k", "large")
    store.get("k", "a")


def test_the_same_id_again_takes_the_place_of_the_first() -> None:
    store = Store()
    put(store, "a")
    put(store, "a")
    assert store.size == size("a")


def test_old_ones_are_forgotten() -> None:
    clock = [0.0]
    store = Store(seconds=10, now=lambda: clock[0])
    put(store, "a")
    clock[0] = 9
    put(store, "b", "a")
    assert len(store.history("k", "b")) == 4  # being asked for keeps them
    clock[0] = 18
    store.get("k", "b")
    clock[0] = 20
    with pytest.raises(PreviousNotFound) as missing:
        store.history("k", "b")
    assert missing.value.facts["id"] == "a"
    with pytest.raises(ItemNotFound):
        store.find("k", "in_a")
    assert store.size == size("b")
    clock[0] = 40
    put(store, "c")
    assert store.size == size("c")  # nobody had to ask for what is gone


def test_keys_share_nothing() -> None:
    store = Store()
    put(store, "a", key="mine")
    with pytest.raises(ResponseNotFound):
        store.get("theirs", "a")
    with pytest.raises(ResponseNotFound):
        store.delete("theirs", "a")
    with pytest.raises(ItemNotFound):
        store.find("theirs", "in_a")
    put(store, "a", key="theirs")
    store.delete("theirs", "a")
    store.get("mine", "a")
