"""Whether the house keeps its order: sizes, the contract of a task, imports that point one way.

Run by `make lint`. Prints a line for each thing that is not as it should be, and exits 1 then.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FILE, FUNCTION, KERNEL = 400, 70, 120
"""Lines of a file of code, of a function, of a Triton kernel, at most."""

TASK_MEMBERS = 8
"""Public members of the class that all tasks share, at most."""

UNFORMATTED = 5
"""Places in the whole tree where the formatter is told to look away, at most."""

LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("report", "studies", "discover"),
    ("export",),
    ("evaluate",),
    ("certify",),
    ("train",),
    ("runs",),
    ("recipes",),
    ("model", "theory"),
    ("encodings",),
    ("attention", "tasks"),
    ("kernels",),
    ("overrides",),
    ("plain",),
    ("origin", "console", "threads", "callable", "_core"),
)
"""Parts of arithtf from top to bottom. A module imports from its own part and from lower layers."""


def sources(root: Path) -> Iterator[Path]:
    """The tracked files of code."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listed.stdout.splitlines():
        path = root / line
        if path.suffix in (".py", ".cpp", ".h", ".inc") and path.is_file():
            yield path


def sizes(path: Path, name: str) -> Iterator[str]:
    """Files and functions that are too long."""
    text = path.read_text()
    lines = text.count("\n")
    if lines > FILE:
        yield f"{name}: {lines} lines, at most {FILE}; split it by subject"
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            kernel = any("jit" in ast.unparse(d) for d in node.decorator_list)
            most = KERNEL if kernel else FUNCTION
            if length > most:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines, at most {most}"


def task_members(root: Path) -> Iterator[str]:
    """A contract of tasks that has grown."""
    path = root / "arithtf" / "tasks" / "base.py"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and node.name == "Task":
            names = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
            names |= {
                n.target.id
                for n in node.body
                if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
            }
            public = sorted(n for n in names if not n.startswith("_"))
            if len(public) > TASK_MEMBERS:
                yield f"Task has {len(public)} public members, at most {TASK_MEMBERS}: {public}"


def part_of(module: str) -> str:
    """The part of a module: "tasks" for arithtf.tasks.base; empty for the package itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "arithtf" and len(parts) > 1 else ""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every module of arithtf that a file imports; not those for types alone."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "arithtf":
                yield from ((node.lineno, f"arithtf.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def directions(root: Path) -> Iterator[str]:
    """Imports that point up, or to a part beside."""
    level = {part: depth for depth, parts in enumerate(LAYERS) for part in parts}
    for path in sorted((root / "arithtf").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        own = name.split("/")[1].removesuffix(".py")
        if own == "__init__":
            continue
        if own not in level:
            yield f"{name}: the part {own!r} stands in no layer; name it in LAYERS"
            continue
        for line, module in imports(path):
            part = part_of(module)
            if part in level and part != own and level[part] <= level[own]:
                yield f"{name}:{line}: {own} imports {module}, which is not below it"


def unformatted(root: Path) -> Iterator[str]:
    """Too many places that the formatter leaves alone."""
    mark = "# fmt: " + "skip"
    count = sum(path.read_text().count(mark) for path in sources(root) if path.suffix == ".py")
    if count > UNFORMATTED:
        yield f"{count} places say {mark!r}, at most {UNFORMATTED}"


def main() -> int:
    """Check the tree that this file stands in."""
    root = Path(__file__).resolve().parent.parent
    found = [line for path in sources(root) for line in sizes(path, str(path.relative_to(root)))]
    found += [*task_members(root), *directions(root), *unformatted(root)]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
