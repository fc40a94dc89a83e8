"""Token counts out of answers, whoever wrote them."""

from __future__ import annotations

import pytest

from penjing.gateway.observe import Observed, Watch, counts, last_counts
from penjing.messages import Usage

USAGE = b'{"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}'
TIMINGS = b'{"choices":[],"timings":{"cache_n":13,"prompt_n":1,"predicted_n":3,"predicted_ms":1.5}}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (USAGE, Usage(9, 4, 2)),
        (TIMINGS, Usage(14, 3, 13)),
        (b'{"usage":null,"timings":{"prompt_n":1,"predicted_n":2}}', Usage(1, 2)),
        (b'{"usage":{"prompt_tokens":1,"prompt_tokens_details":null}}', Usage(1, 0)),
        (b'{"usage":"none"}', None),
        (b"{}", None),
        (b"[]", None),
        (b"not json \xff", None),
    ],
)
def test_counts(body: bytes, expected: Usage | None) -> None:
    assert counts(body) == expected


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"data: {}\n\ndata: " + USAGE + b"\n\ndata: [DONE]\n\n", Usage(9, 4, 2)),
        (b"data: " + TIMINGS + b"\n\ndata: [DONE]\n\n", Usage(14, 3, 13)),
        (b"data: " + TIMINGS + b"\r\n\r\n", Usage(14, 3, 13)),
        (b'data: {"usage":null}\n\n', None),
        (b'data: {"choices":[{"delta":{"content":"\\"usage\\":{"}}]}\n\n', None),
        (b'"usage"', None),
        (b"", None),
    ],
)
def test_last_counts(tail: bytes, expected: Usage | None) -> None:
    assert last_counts(tail) == expected


def test_a_watch_counts_events_where_the_engine_does_not() -> None:
    observed = Observed()
    watch = Watch(observed)
    watch.named("m")
    watch.tokens(1)
    watch.tokens(3)
    watch.end("/r", 200)
    assert observed.ttft.count("m") == 1
    assert observed.between.count("m") == 3
    assert observed.tokens.value("m", "completion") == 4
    assert observed.requests.value("/r", "m", "200") == 1


def test_cached_tokens_are_counted_apart_from_the_sum() -> None:
    observed = Observed()
    watch = Watch(observed)
    watch.named("m")
    watch.usage = Usage(10, 4, cached_tokens=8)
    watch.end("/r", 200)
    assert observed.cached.value("m") == 8
    assert sum(observed.tokens.value("m", kind) for kind in ("prompt", "cached", "completion")) == 14
