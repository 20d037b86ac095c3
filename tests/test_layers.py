"""The library's folders import downwards only; those of experiments can be overlooked."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1] / "l2l_tf"
# From the bottom up; a module imports what stands in its own line or before it.
LAYERS = [
    {"errors", "checks", "commands", "files", "interrupts", "names", "seeds", "stages", "startup", "xla"}
    | {"optimizers.activations", "serialization.unpickler"},
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


def level(module: str) -> int:
    """Of a module `folder.name`, or `name`."""
    return LEVELS.get(module, LEVELS.get(module.split(".")[0], 0))


def imported(path: Path) -> set[str]:
    """The library's modules that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "l2l_tf":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("l2l_tf."):
            found.add(node.module.removeprefix("l2l_tf."))
    return found


def test_every_part_has_its_layer() -> None:
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}
    assert parts - {"__init__", "keras", "sonnet"} == {name for name in LEVELS if "." not in name}


def test_no_module_imports_upwards() -> None:
    for path in ROOT.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module.split(".")[0] in LEVELS:
            for other in imported(path):
                assert level(other) <= level(module), f"{module} imports {other}"


def test_no_folder_of_experiments_has_more_than_ten_modules() -> None:
    folders = {path.parent for path in (ROOT.parent / "experiments").rglob("*.py")}
    assert {folder.name: count for folder in folders if (count := len(list(folder.glob("*.py")))) > 10} == {}
