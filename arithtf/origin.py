"""Where classes and functions come from: names by which a file or a command line can say which.

| text | names |
|---|---|
| addition | what arithtf, or an installed package, has registered under that name |
| package.module:Name | an object of a module that can be imported |
| folder/file.py:Name | an object of a file |
| folder/file.py | the one object of its kind that the file defines |

A package registers by entry points, in the groups arithtf.tasks, arithtf.recipes and so on. A file
is executed at most once in a process, alone: it may import what is installed, but not its
neighbours. Only a file that a person named is ever executed, on the command line or as the place
where a run's task came from, and never one that lies in a run directory: a run that came from
somebody else brings no code.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Source = dict[str, str]

_HASHES: dict[Path, str] = {}  # SHA-256 of each file, as it was when it was executed
_FILE_NAME = re.compile(r"(/.*\.py):[\w.]+")


class SourceMissing(ValueError):
    """The file that a run's task, encoding or model came from is not there."""


class SourceChanged(UserWarning):
    """The file that a run's task, encoding or model came from has other bytes than it had."""


class Registry(Mapping[str, T], Generic[T]):
    """Objects of one kind by name, those of arithtf first; others are found where they are.

    Args:
        kind: "task".
        expected: what such an object is, for errors: "a subclass of Task".
        fits: whether an object is one.
        tag: the field under which JSON has an object's name (see `arithtf.plain`).
        plural: packages register in the entry points' group "arithtf.tasks"; kind and s if empty.
        listed: where people find all names, for errors; the names themselves if empty.
    """

    def __init__(
        self,
        kind: str,
        expected: str,
        fits: Callable[[Any], bool],
        *,
        tag: str = "name",
        plural: str = "",
        listed: str = "",
    ) -> None:
        """Make an empty one."""
        self.kind, self.expected, self.fits = kind, expected, fits
        self.tag, self.listed = tag, listed
        self._group = f"arithtf.{plural or f'{kind}s'}"
        self._objects: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        """The object that arithtf registered under a name."""
        return self._objects[name]

    def __iter__(self) -> Iterator[str]:
        """The registered names in order of registration."""
        return iter(self._objects)

    def __len__(self) -> int:
        """How many are registered."""
        return len(self._objects)

    def add(self, name: str, value: T) -> T:
        """Register an object of arithtf's own.

        Raises:
            ValueError: the name is taken.
        """
        if self._objects.setdefault(name, value) is not value:
            raise ValueError(f"there is another {self.kind} {name!r}; choose another name")
        return value

    def resolve(self, text: str) -> T:
        """The object that a text names, see the table above.

        Raises:
            ValueError: there is none, or it is of another kind; says what to do.
        """
        if text in self._objects:
            return self._objects[text]
        place, colon, name = text.rpartition(":")
        if colon:
            found = _member(_module(place), name, place)
        elif text.endswith(".py"):
            found = self._only_one_in(load_file(text))
        else:
            found = self._entry_point(text)
        if not self.fits(found):
            raise ValueError(f"expected {self.expected} under {text!r}, got {_described(found)}")
        value: T = found
        return value

    def name_of(self, value: T) -> str:
        """The text from which `resolve` finds an object again, in any process.

        Raises:
            ValueError: no text would, as for what is defined inside a function.
        """
        for name, known in self._objects.items():
            if known is value:
                return name
        return name_of(value)

    def _entry_point(self, name: str) -> Any:
        offered = {e.name: e for e in metadata.entry_points(group=self._group)}
        if name in offered:
            return offered[name].load()
        known = [*self, *offered]
        every = self.listed or f"there are: {', '.join(known) or 'none'}"
        raise ValueError(
            f"no {self.kind} is named {name!r}{_like(name, known)}; {every}; one of your own is "
            "file.py:name or package.module:name"
        )

    def _only_one_in(self, module: ModuleType) -> Any:
        found = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and _defined_in(module, value) and self.fits(value)
        ]
        if len(found) == 1:
            return vars(module)[found[0]]
        if found:
            raise ValueError(
                f"{module.__file__} defines {len(found)} objects that are {self.expected}: "
                f"{', '.join(found)}; say which, as in {module.__file__}:{found[0]}"
            )
        raise ValueError(f"expected {self.expected} in {module.__file__}, got none")


def name_of(value: Any) -> str:
    """ "package.module:Name" of an object of a package, "/folder/file.py:Name" of one of a file.

    Raises:
        ValueError: it is neither, and could not be found again.
    """
    name = getattr(value, "__qualname__", None)
    if name is None or "<" in name:
        raise ValueError(
            f"{_described(value)} cannot be found again by another process; "
            "define it at the top level of a file, with class or def"
        )
    path = _file_of(value)
    return f"{path}:{name}" if path else f"{value.__module__}:{name}"


def absolute(text: str) -> str:
    """ "file.py:name" with the file's whole path, by which any process finds it; others as is."""
    place, colon, name = text.rpartition(":")
    if not colon or not place.endswith(".py"):
        return text
    return f"{Path(place).expanduser().resolve()}:{name}"


def source_of(value: Any) -> Source | None:
    """Path and SHA-256 of the file an object was loaded from; None for one of a package."""
    path = _file_of(value)
    return None if path is None else _source(path)


def load_file(path: str | Path) -> ModuleType:
    """Execute a Python file, unless this process has already done so.

    The module's name is a function of the path, and the module is in `sys.modules`: dataclasses
    and pickle look there.

    Raises:
        ValueError: there is no such file, or an error left it.
    """
    place = Path(path).expanduser().resolve()
    for module in tuple(sys.modules.values()):
        if str(_file_attribute(module)).endswith(place.name) and _path_of(module) == place:
            return module
    if not place.is_file():
        near = [str(other) for other in place.parent.glob("*.py")]
        raise ValueError(f"there is no file {place}{_like(str(place), near)}")
    code = place.read_bytes()
    digest = hashlib.sha256(code).hexdigest()
    name = f"{place.stem}_{hashlib.sha256(str(place).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None:
        raise ValueError(f"expected a Python file, file.py, got {place}")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    _HASHES[place] = digest
    try:
        # Not by the loader: that would leave bytecode beside the file, and may execute old one.
        exec(compile(code, str(place), "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(f"{place} cannot be loaded: {_said(error, place)}") from error
    return module


def record(data: Any) -> tuple[Any, dict[str, Source]]:
    """JSON data with the files that they name, in a form that says the same on any machine.

    Args:
        data: plain JSON, in which "/folder/file.py:Name" may occur.

    Returns:
        The same with "file.py:Name", and for "file.py" its {"path", "sha256"}.

    Raises:
        ValueError: two of the files have the same name.
    """
    sources: dict[str, Source] = {}

    def shorten(text: str) -> str:
        named = _FILE_NAME.fullmatch(text)
        if named is None:
            return text
        path = Path(named[1])
        source = sources.setdefault(path.name, _source(path))
        if source["path"] != str(path):
            raise ValueError(f"two files are named {path.name}: {source['path']} and {path}")
        return str(path.name) + text[len(named[1]) :]

    return _mapped(data, shorten), sources


def portable(data: Any) -> Any:
    """The data of `record` alone: what stands in certificates and messages."""
    return record(data)[0]


def recall(data: Any, sources: Mapping[str, Source], *, outside: Path | None = None) -> Any:
    """The inverse of `record`, each file compared with what was recorded of it.

    Args:
        data, sources: as `record` gave them.
        outside: a folder from which nothing is loaded: the run directory itself.

    Raises:
        SourceMissing: a file is not where it was.
        ValueError: a file lies in the folder, or its path is relative.
    """
    for name, source in sources.items():
        path = Path(source["path"])
        what = ", ".join(sorted(_names_in(data, name)))
        if not path.is_absolute():  # else it would depend on the folder that a person is in
            raise ValueError(f"expected the whole path of {name}, from / on, got {path}")
        if outside is not None and path.resolve().is_relative_to(outside.resolve()):
            raise ValueError(f"{path} lies in the run directory, from which no code is loaded")
        if not path.is_file():
            raise SourceMissing(
                f"expected {path}, from which {what} came, but there is no such file; put it "
                f'there, or write its new place as the path of {name!r} under "sources"'
            )
        if _source(path)["sha256"] != source["sha256"]:
            warnings.warn(
                f"{path}, from which {what} came, has changed since; what follows is by the file "
                "as it is now",
                SourceChanged,
                stacklevel=2,
            )

    def lengthen(text: str) -> str:
        name, colon, rest = text.partition(":")
        return f"{sources[name]['path']}:{rest}" if colon and name in sources else text

    return _mapped(data, lengthen)


def _mapped(data: Any, change: Callable[[str], str]) -> Any:
    """JSON data with every string in it changed, but for the names of fields."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, Mapping):
        return {name: _mapped(value, change) for name, value in data.items()}
    return [_mapped(value, change) for value in data] if isinstance(data, list | tuple) else data


def _names_in(data: Any, file: str) -> set[str]:
    found: set[str] = set()

    def note(text: str) -> str:
        if text.startswith(f"{file}:"):
            found.add(text)
        return text

    _mapped(data, note)
    return found


def _source(path: Path) -> Source:
    digest = _HASHES.get(path) or hashlib.sha256(path.read_bytes()).hexdigest()
    return {"path": str(path), "sha256": digest}


def _file_of(value: Any) -> Path | None:
    """The file by which an object is found; None where its module's name is better.

    A module is imported by its name if it is part of a package, or lies where packages are
    installed. A script or a notebook's neighbour is found by its path alone.
    """
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    path = _path_of(module)
    if module is None or (path is None and module.__name__ == "__main__"):
        raise ValueError(
            f"{_described(value)} is of no file, so that no other process can find it; "
            "put it into one"
        )
    installed = any(
        path is None or path.is_relative_to(folder)
        for key in ("stdlib", "purelib", "platlib")
        for folder in [Path(sysconfig.get_path(key)).resolve()]
    )
    in_package = module.__name__ != "__main__" and bool(module.__package__)
    return None if installed or in_package else path


def _path_of(module: Any) -> Path | None:
    file = _file_attribute(module)
    return Path(file).resolve() if isinstance(file, str) and file.endswith(".py") else None


def _file_attribute(module: Any) -> Any:
    # By the namespace: asking a module that loads on demand for an attribute would load it.
    return vars(module).get("__file__") if isinstance(module, ModuleType) else None


def _module(place: str) -> ModuleType:
    if place.endswith(".py"):
        return load_file(place)
    try:
        return importlib.import_module(place)
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"the module {place!r} cannot be imported: {error}; install the package it is part of "
            "(`pip install -e .`), or name a file, file.py:name"
        ) from None


def _member(module: ModuleType, name: str, place: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{place} has no {name!r}{_like(name, vars(module))}")
        found = getattr(found, part)
    return found


def _defined_in(module: ModuleType, value: Any) -> bool:
    """Whether an object of a module's namespace was made there, not imported."""
    if inspect.isabstract(value):
        return False
    if isinstance(value, type) or callable(value):
        return getattr(value, "__module__", None) == module.__name__
    return True


def _described(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.isroutine(value):
        return f"the function {value.__name__}"
    return f"an object of type {type(value).__name__}"


def _like(name: str, names: Iterable[str]) -> str:
    like = get_close_matches(name, [other for other in names if not other.startswith("_")])
    return f"; did you mean {' or '.join(like)}" if like else ""


def _said(error: BaseException, place: Path) -> str:
    """An error of a file that was being executed, with the line of the file where it arose."""
    lines = [
        f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(place)
    ]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    where = f"line {line}, " if line else ""
    return f"{where}{type(error).__name__}: {error}"
