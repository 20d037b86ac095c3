"""The library's folders import downwards only."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1] / "l2l_tf"
# From the bottom up; a module imports what stands in its own line or before it.
LAYERS = [
    {"errors", "checks", "commands", "files", "names", "seeds", "startup", "xla"},
    {"data"},
    {"optimizees"},
    {"optimizers"},
    {"unroll"},
    {"serialization"},
    {"evaluation"},
    {"meta"},
    {"diagnostics"},
    {"integrations"},
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}


def imported(path: Path) -> set[str]:
    """The parts of the library that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "l2l_tf":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("l2l_tf."):
            found.add(node.module.split(".")[1])
    return found


def test_no_module_imports_upwards() -> None:
    for path in ROOT.rglob("*.py"):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for other in imported(path) if part in LEVELS else ():
            assert LEVELS[other] <= LEVELS[part], f"{path.relative_to(ROOT)} imports {other}"
