"""What tells a want of memory from other endings."""

from __future__ import annotations

from pathlib import Path

import pytest

from penjing.engines import starved
from penjing.engines.starved import KILLED


@pytest.mark.parametrize(
    "words",
    [
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 268435456",
        "CUDA error: out of memory",
        "ggml_metal: error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
        "vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "mmap failed: Cannot allocate memory",
    ],
)
def test_libraries_say_so(words: str) -> None:
    assert starved.says(words)
    assert starved.starved("exit status 1", words, 0)


@pytest.mark.parametrize("words", ["", "no such file", "memory: 2 GB free", "the model is out of date"])
def test_other_words_are_no_complaint(words: str) -> None:
    assert not starved.says(words)


def test_the_kernels_count_tells_its_kill_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "vmstat"
    monkeypatch.setattr(starved, "VMSTAT", table)
    assert starved.kills() == 0
    table.write_text("pgfault 7\noom_kill 3\nfoo 1\n")
    assert starved.kills() == 3
    assert starved.starved(KILLED, "", 2)
    assert not starved.starved(KILLED, "", 3)
    assert not starved.starved("exit status 1", "", 2)
