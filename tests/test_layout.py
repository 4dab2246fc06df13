"""The promises of CONTRIBUTING.md about the shape of the code, held by reading it."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LOCKED = re.compile(r"[a-z0-9._-]+==[0-9][A-Za-z0-9.+!]*( ; [a-z_]+ .*)?")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_holds_one_idea(path):
    """No file over 400 lines, no function over 60."""
    text = path.read_text()
    long = [f"{f.name} ({f.end_lineno - f.lineno + 1} lines)" for f in functions(ast.parse(text)) if f.end_lineno - f.lineno >= 60]
    assert len(text.splitlines()) <= 400
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def room(module: str) -> str:
    return module.split(".")[1]


def shared_names() -> set[tuple[str, str]]:
    """(module, name) for each name that a room, the command line or the Python API imports from a room not its own."""
    shared = set()
    for path in SOURCES:
        own = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tenfold."):
                shared |= {(node.module, alias.name) for alias in node.names if room(own) != room(node.module)}
    return shared


def test_what_a_room_gives_to_others_has_a_docstring():
    """A function or class that another room imports says its shapes, units and errors."""
    missing = []
    for module, shared in sorted(shared_names()):
        path = (ROOT / "src" / module.replace(".", "/")).with_suffix(".py")
        for node in ast.parse(path.read_text()).body if path.exists() else []:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == shared and not ast.get_docstring(node):
                missing.append(f"{module}.{shared}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_second_framework_at_run_time(path):
    """Models run on JAX alone: torch and its kind belong to the benchmarks."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    assert not imported & {"torch", "tensorflow", "transformers", "flax"}


def test_a_room_is_a_package():
    """Every folder with code in it is a package, or import-linter would not see it."""
    assert [name(folder) for folder in {path.parent for path in SOURCES} if not (folder / "__init__.py").exists()] == []


def test_the_lock_holds_names_versions_and_markers_only():
    """No addresses, hashes or options: the lock must install from any index."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if not LOCKED.fullmatch(line)] == []


def test_the_lock_covers_what_the_project_asks_for():
    """Each direct dependency is pinned, and JAX once for Python 3.11 and once for newer ones."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = {re.split(r"[<>=\[; ]", line)[0].lower() for line in project["dependencies"] + extras["dev"] + extras["docs"]}
    pins = [line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()]
    assert asked <= set(pins)
    assert pins.count("jax") == 2
