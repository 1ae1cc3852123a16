"""The package as a whole: imports, versions, public names, and what its pages promise."""

import ast
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import arithtf

ROOT = Path(__file__).parents[1]
OPTIONAL = ("triton", "matplotlib", "jinja2", "rich")
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(arithtf.__path__, "arithtf.")
    if not info.name.endswith(("__main__", "._core"))
)

IMPORT_ALL = """
import sys
for name in {optional}:
    sys.modules[name] = None  # importing it raises ImportError
connections = []
sys.addaudithook(lambda event, _: connections.append(event) if event == "socket.connect" else None)
import importlib
for name in {modules}:
    importlib.import_module(name)
import torch
print(torch.cuda.is_initialized(), connections)
"""


def run_python(code, **kwargs):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **kwargs
    )


def test_every_module_imports_without_optional_packages_cuda_or_network():
    # Drawing needs matplotlib and jinja2; arithtf.report imports its modules when it draws.
    modules = [name for name in MODULES if not name.startswith("arithtf.report.")]
    assert "arithtf.report" in modules
    result = run_python(IMPORT_ALL.format(optional=OPTIONAL, modules=modules))
    assert result.returncode == 0, result.stderr
    assert result.stdout == "False []\n"


def test_kernels_folder_is_not_a_package_of_its_own():
    """Another project publishes a package of that name; a local one would shadow it."""
    assert not (ROOT / "kernels" / "__init__.py").exists()
    module = importlib.import_module("arithtf.kernels")
    assert Path(module.__file__).parent == ROOT / "kernels" / "triton"


def test_a_package_named_kernels_is_found_from_the_root(tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("origin = 'published'\n")
    code = f"import sys; sys.path.append({str(tmp_path)!r}); import kernels; print(kernels.origin)"
    assert run_python(code, cwd=ROOT).stdout == "published\n"


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert arithtf.__version__ == project["version"]
    assert importlib.metadata.version("arithtf") == project["version"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (\S+)$", citation, re.M).group(1) == project["version"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_an_unbuilt_checkout_names_the_remedy(tmp_path):
    shutil.copytree(
        ROOT / "arithtf", tmp_path / "arithtf", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    # -S and the path by hand: an editable install would still find the built core.
    code = f"import sys; sys.path[:0] = {[str(tmp_path), *sys.path]!r}; import arithtf.tasks"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "build it with `pip install -e .`" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__, name
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        if callable(value) and getattr(value, "__module__", "").startswith("arithtf"):
            assert value.__doc__, f"{name}.{public}"


def annotated(function):
    """Whether all arguments and the result have annotations."""
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    every += [arg for arg in (function.args.vararg, function.args.kwarg) if arg is not None]
    missing = [arg.arg for arg in every if arg.annotation is None]
    return set(missing) <= {"self", "cls"} and function.returns is not None


@pytest.mark.parametrize("path", sorted((ROOT / "arithtf").rglob("*.py")), ids=lambda p: p.name)
def test_functions_are_annotated(path):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text())
    bare = [n.name for n in ast.walk(tree) if isinstance(n, functions) and not annotated(n)]
    assert bare == []


def test_every_environment_variable_is_on_its_page():
    pattern = re.compile(r"""["'](ARITHTF_[A-Z_]+)["']""")
    sources = [
        path
        for folder in ("arithtf", "kernels", "bench", "csrc", "tests")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".cpp", ".h") and path != Path(__file__)
    ]
    used = {name for path in sources for name in pattern.findall(path.read_text())}
    options = re.findall(r"option\((ARITHTF_\w+)", (ROOT / "CMakeLists.txt").read_text())
    page = (ROOT / "docs" / "environment.md").read_text()
    assert set(re.findall(r"^\| `(ARITHTF_[A-Z_]+)` \|", page, re.M)) == used | set(options)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_pages_name_files_that_exist(page):
    """Links and `path/like.this` in backticks; a rename must not leave a page behind."""
    text = (ROOT / page).read_text()
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    quoted = re.findall(r"`((?:arithtf|tests|bench|csrc|kernels|docs|tools|\.ci)/[\w./-]*)`", text)
    assert [name for name in linked + quoted if not (ROOT / name).exists()] == []
