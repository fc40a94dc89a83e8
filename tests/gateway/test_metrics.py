"""Prometheus' text format."""

from __future__ import annotations

from penjing.gateway.metrics import Counter, Gauge, Histogram, render


def lines(*metrics: Counter | Histogram) -> list[str]:
    return render(metrics).decode().splitlines()


def test_a_counter_with_labels_escaped() -> None:
    counter = Counter("hits_total", "Hits.", ("path", "who"))
    counter.add("/a", 'x"\\\n')
    counter.add("/a", 'x"\\\n', by=2)
    assert lines(counter) == [
        "# HELP hits_total Hits.",
        "# TYPE hits_total counter",
        'hits_total{path="/a",who="x\\"\\\\\\n"} 3',
    ]
    assert counter.value("/a", 'x"\\\n') == 3
    assert counter.value("/b", "") == 0


def test_a_gauge_keeps_all_digits() -> None:
    gauge = Gauge("bytes", "B.")
    gauge.set(to=12_345_678_901)
    assert lines(gauge)[1:] == ["# TYPE bytes gauge", "bytes 12345678901"]


def test_a_histogram_is_cumulative() -> None:
    histogram = Histogram("wait_seconds", "W.", ("m",), (0.1, 1.0))
    for seconds, times in ((0.05, 1), (0.1, 2), (0.5, 1), (3.0, 1)):
        histogram.observe(("a",), seconds, times)
    assert lines(histogram)[2:] == [
        'wait_seconds_bucket{m="a",le="0.1"} 3',
        'wait_seconds_bucket{m="a",le="1.0"} 4',
        'wait_seconds_bucket{m="a",le="+Inf"} 5',
        'wait_seconds_sum{m="a"} 3.75',
        'wait_seconds_count{m="a"} 5',
    ]
    assert histogram.count("a") == 5
    assert histogram.count("b") == 0
