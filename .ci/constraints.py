"""Writes constraints.txt: the exact versions that the tests pass with, by name only.

    python .ci/constraints.py python3.10 python3.11 [--fresh]

Versions that stand there stay, new ones come; with `--fresh` all are the newest, which takes pip far longer to find.
Each interpreter's pip resolves the package with all its extras without installing anything. Where an older Python gets
an older version, both stand in the file, each with its marker. What a GPU build of torch brings along is left out:
it differs from machine to machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WANTED = f"{ROOT}[test,check,extras-test]"
LEFT_OUT = re.compile(r"nvidia-|cuda-|triton|penjing$|setuptools$")
HEADER = "# Written by `python .ci/constraints.py python3.10 python3.11`.\n"


def resolved(python: str, *, fresh: bool) -> dict[str, str]:
    """Name to version of everything `python` would install."""
    kept = [] if fresh else ["-c", str(ROOT / "constraints.txt")]
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--dry-run",
            "--ignore-installed",
            "--report",
            report.name,
        ]
        subprocess.run([*command, *kept, WANTED], check=True)
        chosen = json.loads(Path(report.name).read_text())["install"]
    found = {entry["metadata"]["name"].lower().replace("_", "-"): entry["metadata"]["version"] for entry in chosen}
    return {name: version.split("+")[0] for name, version in found.items() if not LEFT_OUT.match(name)}


def version_of(python: str) -> str:
    """`3.10`."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def main(old: str, new: str, *options: str) -> None:
    """Resolve with both interpreters and write the file."""
    border = version_of(new)
    fresh = "--fresh" in options
    before, after = resolved(old, fresh=fresh), resolved(new, fresh=fresh)
    lines = []
    for name in sorted(before | after):
        if before.get(name) == after.get(name):
            lines.append(f"{name}=={after[name]}")
            continue
        if name in before:
            lines.append(f'{name}=={before[name]}; python_version < "{border}"')
        if name in after:
            lines.append(f'{name}=={after[name]}; python_version >= "{border}"')
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
