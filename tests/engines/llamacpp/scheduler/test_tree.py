from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from penjing.engines.llamacpp.scheduler.tree import Tree, common

tokens = st.lists(st.integers(0, 2), max_size=8)


class Cells(RuleBasedStateMachine):
    """The tree beside lists of cells that are shared as objects."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = Tree()
        self.held: dict[int, list[list[int]]] = {}
        self.next = 0

    @rule(tokens=tokens)
    def begin(self, tokens: list[int]) -> None:
        self.tree.begin(self.next)
        self.held[self.next] = []
        self.next += 1
        self.extend(self.next - 1, tokens)

    @rule(which=st.integers(0, 20), tokens=tokens)
    def extend(self, which: int, tokens: list[int]) -> None:
        if which in self.held:
            self.tree.extend(which, tokens)
            self.held[which] += [[token] for token in tokens]

    @rule(which=st.integers(0, 20), share=st.floats(0, 1))
    def fork(self, which: int, share: float) -> None:
        if which in self.held:
            length = round(share * len(self.held[which]))
            self.tree.fork(which, self.next, length)
            self.held[self.next] = self.held[which][:length]
            self.next += 1

    @rule(which=st.integers(0, 20), share=st.floats(0, 1))
    def cut(self, which: int, share: float) -> None:
        if which in self.held:
            length = round(share * len(self.held[which]))
            self.tree.cut(which, length)
            del self.held[which][length:]

    @rule(which=st.integers(0, 20))
    def drop(self, which: int) -> None:
        if which in self.held:
            before = self.count()
            del self.held[which]
            assert self.tree.drop(which) == before - self.count()

    @rule(wanted=tokens)
    def find(self, wanted: list[int]) -> None:
        sequence, length = self.tree.find(wanted)
        best = max((common([cell[0] for cell in cells], wanted, 0) for cells in self.held.values()), default=0)
        assert length == best
        if length:
            assert [cell[0] for cell in self.held[sequence][:length]] == wanted[:length]

    def count(self) -> int:
        return len({id(cell) for cells in self.held.values() for cell in cells})

    @invariant()
    def same(self) -> None:
        assert self.tree.cells == self.count()
        assert set(self.tree) == set(self.held)
        for sequence, cells in self.held.items():
            assert self.tree.tokens(sequence) == [cell[0] for cell in cells]
            assert self.tree.length(sequence) == len(cells)
            others: set[int] = {id(c) for other, held in self.held.items() if other != sequence for c in held}
            assert self.tree.alone(sequence) == sum(id(cell) not in others for cell in cells)


def test_the_tree_is_what_is_held() -> None:
    machine: Any = Cells
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=25))


@settings(max_examples=40)
@given(st.lists(st.integers(0, 1), max_size=20), st.lists(st.integers(0, 1), max_size=20), st.integers(0, 5))
def test_common(run: list[int], other: list[int], start: int) -> None:
    expected = 0
    for one, two in zip(run, other[start:]):  # noqa: B905  the shorter one ends it
        if one != two:
            break
        expected += 1
    assert common(run, other, start) == expected
