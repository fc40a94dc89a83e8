from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.store.trust.canonical import LARGEST, NoCanonicalForm, canonical

# RFC 8785, appendix B: numbers and what ECMAScript makes of them
NUMBERS = {
    -0.0: "0",
    5e-324: "5e-324",
    -5e-324: "-5e-324",
    1.7976931348623157e308: "1.7976931348623157e+308",
    9007199254740992.0: "9007199254740992",
    295147905179352830000.0: "295147905179352830000",
    9.999999999999997e22: "9.999999999999997e+22",
    1e23: "1e+23",
    1.0000000000000001e23: "1.0000000000000001e+23",
    999999999999999700000.0: "999999999999999700000",
    999999999999999900000.0: "999999999999999900000",
    1e21: "1e+21",
    9.999999999999997e-7: "9.999999999999997e-7",
    0.000001: "0.000001",
    333333333.3333332: "333333333.3333332",
    -0.0000033333333333333333: "-0.0000033333333333333333",
    1424953923781206.2: "1424953923781206.2",
    3.5: "3.5",
    100.0: "100",
}


@pytest.mark.parametrize(("number", "written"), NUMBERS.items())
def test_numbers_as_the_rfc_has_them(number: float, written: str) -> None:
    assert canonical(number).decode() == written


def test_the_example_of_the_rfc() -> None:
    """RFC 8785, section 3.2.3: sorting by UTF-16 code units; section 3.2.2.2: escapes."""
    names = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\u00f6": 7}
    order = [value for _, value in json.loads(canonical(names), object_pairs_hook=list)]
    assert order == [2, 4, 6, 7, 1, 5, 3]
    assert canonical('\u20ac$\x0f\nA\'B"\\\\"/') == b'"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'


@pytest.mark.parametrize("value", [math.nan, math.inf, LARGEST + 1, b"bytes", {1: 2}, {"a": {2}}, "\ud800"])
def test_what_has_no_canonical_form(value: object) -> None:
    with pytest.raises(NoCanonicalForm):
        canonical(value)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(values)
def test_it_means_the_same_and_is_written_in_one_way(value: object) -> None:
    once = canonical(value)
    again = json.loads(once, parse_int=float)  # numbers of JSON are doubles to the RFC
    assert again == value
    assert canonical(again) == once
