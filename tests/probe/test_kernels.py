"""The library's own kernels compute here; how fast is nobody's business in a test."""

from collections.abc import Iterator

import pytest

from penjing.probe.ggml import row_bytes
from penjing.probe.kernels import Kernels


@pytest.fixture(scope="module")
def kernels() -> Iterator[Kernels]:
    with Kernels(2) as found:
        yield found


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K", "IQ4_XS", "MXFP4"])
def test_products_of_all_types_run(kernels: Kernels, kind: str) -> None:
    with kernels.product(kind, 512, 128, (3, 1), (2, 4)) as (one, few):
        assert one.run() > 0
        assert few.run() > 0
        assert one.bytes == 3 * 128 * row_bytes(kind, 512)
        assert few.bytes == 2 * 128 * row_bytes(kind, 512)
        assert one.flops == 2 * 512 * 128 * 3
        assert few.flops == 2 * 512 * 128 * 2 * 4


def test_attention_counts_four_operations_a_number_and_query(kernels: Kernels) -> None:
    with kernels.attention(64, 2, 256, 32, 2) as work:
        assert work.run() > 0
        assert work.bytes == 2 * 2 * 64 * 2 * 256 * 2
        assert work.flops == 4 * 64 * 2 * 256 * 32 * 2


def test_weights_lie_where_the_engine_lays_them(kernels: Kernels) -> None:
    """Types for which this library has kernels over repacked rows get them; others lie in ordinary memory."""
    homes = {kind: kernels.home(kind, 512, 128) for kind in ("F16", "Q4_K")}
    assert homes["F16"] == "CPU"
    assert homes["Q4_K"] in ("CPU", "CPU_REPACK")


def test_a_chain_of_operations(kernels: Kernels) -> None:
    with kernels.chain(100) as work:
        assert work.run() > 0
    kernels.set_threads(1)
    with kernels.chain(100) as work:
        assert work.run() > 0
    kernels.set_threads(2)
