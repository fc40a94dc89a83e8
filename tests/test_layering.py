"""Packages are stations: each imports only earlier ones and the floor, nobody imports a door, no circles."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
FLOOR = ("errors", "language", "files", "settings", "messages", "manifest", "progress", "amounts", "lock")
STATIONS = (
    "sources",
    "native",
    "probe",
    "plan",
    "shrink",
    "export",
    "store",
    "engines",
    "gateway",
    "operate",
    "fleet",
    "learn",
    "knowledge",
)
DOORS = ("cli", "web")
MODULES = sorted(SOURCE.glob("penjing/**/*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def level(module: str) -> int:
    """The floor is 0, stations count up in their order, doors come last; the package itself is the floor."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] in FLOOR:
        return 0
    if parts[1] in STATIONS:
        return 1 + STATIONS.index(parts[1])
    if parts[1] in DOORS:
        return 1 + len(STATIONS)
    if parts[1] == "__main__":
        return 2 + len(STATIONS)
    pytest.fail(f"{module} is neither floor, station nor door: give it a place in tests/test_layering.py")


def imports(path: Path, *, module_level: bool) -> set[str]:
    """penjing modules that `path` imports; with `module_level` only those imported when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(at_import(tree)) if module_level else list(ast.walk(tree))
    known = {dotted(module) for module in MODULES}
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("penjing")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("penjing"):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else str(node.module))
    return found


def at_import(tree: ast.Module) -> list[ast.AST]:
    """Statements that run when the module is imported: not function bodies, not TYPE_CHECKING blocks."""
    waiting: list[ast.AST] = [tree]
    seen: list[ast.AST] = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
            continue
        seen.append(node)
        waiting.extend(ast.iter_child_nodes(node))
    return seen


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_only_earlier_stations(path: Path) -> None:
    here = dotted(path)
    mine = level(here)
    for name in imports(path, module_level=False):
        same_room = name.split(".")[1:2] == here.split(".")[1:2]
        assert same_room or level(name) < mine or (mine == 0 and level(name) == 0), f"{here} imports {name}"


def test_no_import_cycles() -> None:
    graph = {dotted(path): imports(path, module_level=True) - {dotted(path)} for path in MODULES}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_file_is_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
