"""Objects named in words are found again: registered, in modules, in files, in other processes."""

import dataclasses
import hashlib
import pickle
import subprocess
import sys
from importlib import metadata

import pytest

from arithtf import origin
from arithtf.origin import Registry, SourceChanged, SourceMissing

SHAPES = """
from __future__ import annotations
from dataclasses import dataclass
from fractions import Fraction

@dataclass(frozen=True)
class Square:
    side: Fraction = Fraction(1)

    @dataclass(frozen=True)
    class Corner:
        angle: int = 90
"""


class Circle:
    pass


@pytest.fixture
def shapes():
    registry = Registry("shape", "a class", lambda value: isinstance(value, type))
    registry.add("circle", Circle)
    return registry


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shapes.py"
    path.write_text(SHAPES)
    return path


def test_registered_objects_have_short_names(shapes):
    assert shapes.resolve("circle") is shapes["circle"] is Circle
    assert shapes.name_of(Circle) == "circle"
    assert shapes.add("circle", Circle) is Circle
    with pytest.raises(ValueError, match="another shape 'circle'"):
        shapes.add("circle", int)


def test_objects_of_modules(shapes):
    found = shapes.resolve("fractions:Fraction")
    assert shapes.name_of(found) == "fractions:Fraction"
    assert shapes.name_of(Registry) == "arithtf.origin:Registry"
    assert origin.source_of(Registry) is None


def test_a_file_is_executed_once_and_is_a_module(shapes, file, monkeypatch):
    square = shapes.resolve(f"{file}:Square")
    assert shapes.resolve(str(file)) is square  # Fraction is imported there, not defined
    monkeypatch.chdir(file.parent)
    assert shapes.resolve("shapes.py:Square.Corner") is square.Corner
    assert shapes.name_of(square.Corner) == f"{file}:Square.Corner"
    assert dataclasses.replace(square(), side=2) == pickle.loads(pickle.dumps(square(2)))
    assert origin.source_of(square) == {
        "path": str(file),
        "sha256": hashlib.sha256(SHAPES.encode()).hexdigest(),
    }
    assert list(file.parent.iterdir()) == [file]  # no bytecode beside it


def test_a_script_finds_its_own_objects_and_others_find_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from arithtf import origin\n"
        "class Mine: pass\n"
        "if __name__ == '__main__':\n"
        "    name = origin.name_of(Mine)\n"
        "    everything = origin.Registry('thing', 'anything', lambda value: True)\n"
        "    assert everything.resolve(name) is Mine\n"
        "    print(name)\n"
    )
    told = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert told.stdout == f"{script}:Mine\n"
    everything = Registry("thing", "anything", lambda value: True)
    assert everything.resolve(told.stdout.strip()).__name__ == "Mine"


def test_entry_points(shapes, monkeypatch):
    point = metadata.EntryPoint("fraction", "fractions:Fraction", "arithtf.shapes")
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: [point] if group == "arithtf.shapes" else []
    )
    assert shapes.resolve("fraction").__name__ == "Fraction"
    with pytest.raises(ValueError, match="did you mean fraction"):
        shapes.resolve("fractoin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("circel", "no shape is named 'circel'; did you mean circle.*file.py:name"),
        ("no.such.module:Name", "'no.such.module' cannot be imported.*pip install"),
        ("fractions:Fractoin", "fractions has no 'Fractoin'; did you mean Fraction"),
        ("fractions:gcd.x.y", "fractions has no 'gcd.x.y'"),
        ("math:gcd", "expected a class under 'math:gcd', got the function gcd"),
        ("math:pi", "got an object of type float"),
        ("shape.py:Square", "there is no file .*shape.py; did you mean .*shapes.py"),
        ("shapes.py:Sqare", "shapes.py has no 'Sqare'; did you mean Square"),
        ("shapes.py", "defines 2 objects that are a class: Square, Other; say which"),
        ("empty.py", "expected a class in .*empty.py, got none"),
        ("broken.py", r"broken.py cannot be loaded: line 2, ZeroDivisionError"),
        ("typo.py", r"typo.py cannot be loaded: line 1, SyntaxError"),
        ("leaves.py", r"leaves.py cannot be loaded: line 1, SystemExit: 3"),
    ],
)
def test_errors_say_what_to_do(shapes, file, monkeypatch, text, message):
    monkeypatch.chdir(file.parent)
    file.write_text(SHAPES + "class Other: pass\nclass _Hidden: pass\n")
    (file.parent / "empty.py").write_text("from fractions import Fraction\n")
    (file.parent / "broken.py").write_text("\n1 / 0\n")
    (file.parent / "typo.py").write_text("class\n")
    (file.parent / "leaves.py").write_text("raise SystemExit(3)\n")
    for _ in range(2):  # a file that failed fails again
        with pytest.raises(ValueError, match=message):
            shapes.resolve(text)


def test_what_cannot_be_found_again_has_no_name():
    class Local:
        pass

    for value in (Local, lambda: None, Circle()):
        with pytest.raises(ValueError, match="define it at the top level of a file"):
            origin.name_of(value)
    code = "from arithtf import origin\nclass Mine: pass\norigin.name_of(Mine)\n"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "the class Mine is of no file" in told.stderr


def test_records_name_files_without_their_folder(shapes, file):
    name = shapes.name_of(shapes.resolve(str(file)))
    data = {"task": {"task": name, "of": [{"task": "circle"}, 1, None]}, "base": 10}
    short, sources = origin.record(data)
    assert short == {
        "task": {"task": "shapes.py:Square", "of": [{"task": "circle"}, 1, None]},
        "base": 10,
    }
    assert sources == {"shapes.py": origin.source_of(shapes.resolve(name))}
    assert origin.recall(short, sources) == data
    other = file.parent / "deeper" / "shapes.py"
    other.parent.mkdir()
    other.write_text(SHAPES)
    with pytest.raises(ValueError, match="two files are named"):
        origin.record([name, f"{other}:Square"])


def test_a_file_that_changed_is_named_and_one_that_is_missing_is_missed(shapes, file, tmp_path):
    short, sources = origin.record([shapes.name_of(shapes.resolve(str(file)))])
    moved = tmp_path / "moved" / "shapes.py"
    moved.parent.mkdir()
    moved.write_text(SHAPES + "# another byte\n")
    moved_sources = {"shapes.py": {**sources["shapes.py"], "path": str(moved)}}
    with pytest.warns(SourceChanged, match=r"shapes.py:Square came, has changed"):
        assert origin.recall(short, moved_sources) == [f"{moved}:Square"]
    file.rename(moved)
    with pytest.raises(SourceMissing, match=r"from which shapes.py:Square came.*new place"):
        origin.recall(short, sources)
    assert origin.recall(short, moved_sources) == [f"{moved}:Square"]  # the same bytes: no warning


def test_no_code_is_loaded_from_a_run_directory(shapes, file):
    short, sources = origin.record([shapes.name_of(shapes.resolve(str(file)))])
    with pytest.raises(ValueError, match="lies in the run directory"):
        origin.recall(short, sources, outside=file.parent)
    with pytest.raises(ValueError, match="expected the whole path of shapes"):
        origin.recall(short, {"shapes.py": {**sources["shapes.py"], "path": "shapes.py"}})
