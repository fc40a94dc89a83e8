"""Where benches put their figures: a part of a page in docs/en and docs/zh between two marks, with the machine.

Does not know: what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TITLES = {
    "performance": {"en": "# Performance\n", "zh": "# 性能\n"},
    "planning": {"en": "# Planning\n", "zh": "# 规划\n"},
    "release": {"en": "# Releases\n", "zh": "# 发布\n"},
    "shrinking-figures": {"en": "# What shrinking costs\n", "zh": "# 缩小的代价\n"},
    "quantize": {"en": "# Quantizing\n", "zh": "# 量化\n"},
    "profile": {"en": "# Profile\n", "zh": "# 剖析\n"},
    "exports": {"en": "# Exports\n", "zh": "# 导出\n"},
}


def machine() -> dict[str, object]:
    """What figures depend on, for a heading: `cpu`, `cores`, `memory`."""
    from penjing.probe.machine import read

    found = read()
    return {"cpu": found.cpu, "cores": found.physical_cores, "memory": f"{found.memory_total / 1e9:.0f} GB"}


def write(script: str, texts: Mapping[str, str], name: str = "performance") -> None:
    """Replace what `script` wrote before in each language's page `name` with `texts`; append it where there is
    nothing."""
    from penjing.files import write_whole

    begin, end = f"<!-- {script} -->", f"<!-- end of {script} -->"
    for language, text in texts.items():
        page = ROOT / "docs" / language / f"{name}.md"
        old = page.read_text(encoding="utf-8") if page.exists() else TITLES[name][language]
        part = f"{begin}\n{text}\n{end}"
        before, mark, rest = old.partition(begin)
        whole = f"{before}{part}{rest.partition(end)[2]}" if mark else f"{old}\n{part}\n"
        write_whole(page, whole.encode())
