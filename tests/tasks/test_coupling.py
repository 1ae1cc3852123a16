"""Coupling tables: checks, JSON, ready-made ones, and their display."""

import json
import pickle
import re
from dataclasses import fields

import numpy as np
import pytest

from arithtf.tasks import (
    NO_ID,
    Addition,
    Address,
    Batch,
    Coupling,
    Draw,
    Level,
    Multiplication,
    Operands,
    Place,
    couplings,
    form_text,
    show,
    symbols_text,
)
from arithtf.tasks.coupling import check_coupling

TASK = Addition()


def ready_made() -> list[Coupling]:
    return [
        couplings.columns(TASK),
        couplings.index(TASK),
        couplings.position_coupling(TASK, 30),
        couplings.abacus(TASK, 100),
        couplings.randomized(TASK, 64),
        couplings.cyclic(TASK, 10),
    ]


@pytest.mark.parametrize("coupling", ready_made(), ids=lambda c: c.name)
def test_json_round_trip(coupling: Coupling) -> None:
    again = Coupling.from_dict(json.loads(json.dumps(coupling.to_dict())))
    assert again == coupling
    assert hash(again) == hash(coupling)
    assert pickle.loads(pickle.dumps(coupling)) == coupling
    check_coupling(again, TASK.segments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"windows": 3}, "got also \\['windows'\\]"),
        ({"key": {"a": {"middle": 1}}}, "got also \\['middle'\\]"),
        ({"name": None}, "needs the fields \\['name'\\]"),
    ],
)
def test_json_with_wrong_fields_is_refused(change: dict[str, object], message: str) -> None:
    data = couplings.columns(TASK).to_dict()
    level = {**data["levels"][0], **change}
    level = {key: value for key, value in level.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        Coupling.from_dict({**data, "levels": [level]})


def test_forms_must_fit_the_segments() -> None:
    for side in ("key", "query"):
        wrong = {"key": {}, "query": {}, side: {"c": Place()}}
        with pytest.raises(ValueError, match="segment 'c'"):
            check_coupling(Coupling("x", (Level(name="l", **wrong),)), TASK.segments)
        early = {"key": {}, "query": {}, side: {"answer": Place(right=1)}}
        coupling = Coupling("x", (Level(name="l", **early),))
        with pytest.raises(ValueError, match="right must be 0"):
            Batch.of(TASK.instances(Operands.from_ints([(1, 2)])), coupling)


def test_levels_are_checked() -> None:
    with pytest.raises(ValueError, match="at least one level"):
        Coupling("none", ())
    with pytest.raises(ValueError, match="low, high"):
        Level(name="l", key={}, query={}, start=(2, 1))
    with pytest.raises(ValueError, match=">= 0"):
        Level(name="l", key={}, query={}, period=-1)
    with pytest.raises(ValueError, match="max_position >= 13"):
        couplings.position_coupling(TASK, 12, longest=10)
    for make in (couplings.abacus, couplings.randomized, couplings.cyclic):
        with pytest.raises(ValueError, match="must be >= 1"):
            make(TASK, 0)


def test_position_coupling_stays_within_its_table() -> None:
    longest, largest = 7, 15
    coupling = couplings.position_coupling(TASK, largest, longest=longest)
    batch = Batch.of(TASK.sample(Address(0, "train", 0), Draw((1, longest), 4000)), coupling)
    for ids in (batch.key_ids, batch.query_ids):
        used = ids[ids != NO_ID]
        assert (used.min(), used.max()) == (1, largest)


def test_abacus_counts_from_the_left_of_every_number() -> None:
    task = Addition(reverse_operands=True)
    coupling = couplings.abacus(task, 5)
    batch = Batch.of(task.instances(Operands.from_ints([(123, 45)])), coupling)
    row = [None if i == NO_ID else i for i in batch.key_ids[0, 0].tolist()]
    assert [i for i in row if i is not None] == [1, 2, 3, 1, 2, 1, 2, 3, 4]
    assert row[0] is None
    assert row[batch.start] is None


def test_forms_are_written_as_people_write_them() -> None:
    assert form_text(Place()) == "0"
    assert form_text(Place(offset=-2)) == "- 2"
    assert form_text(Place(left=1)) == "left"
    assert form_text(Place(offset=3, left=2, index=-1)) == "2 left - index + 3"
    assert (
        form_text(Place(cell=1, row_stride=1, left=1, offset=-1)) == "left + row_stride + cell - 1"
    )
    every = {field.name: 2 + n for n, field in enumerate(fields(Place))}
    text = form_text(Place(**every))
    assert all(f"{size} {name}" in text for name, size in every.items() if name != "offset")
    assert text.endswith(f"+ {every['offset']}")


def test_forms_give_the_ids() -> None:
    """The mark of each row has the ids that the forms' texts say, at the sheet's own pitch."""
    task = Multiplication()
    forms = [Place(cell=1), Place(cell=1, row_stride=2, row=-3, offset=-1)]
    levels = [Level(name=str(n), key={"row": form}, query={}) for n, form in enumerate(forms)]
    coupling = Coupling("c", tuple(levels))
    batch = Batch.of(task.instances(Operands.from_ints([(12, 345)])), coupling)
    marks = np.flatnonzero(batch.tokens[0] == task.vocabulary.id("#"))
    assert len(marks) == 3
    pitch = int(batch.key_ids[0, 0, marks[1]])
    formula = re.sub(r"(\d) (\w)", r"\1 * \2", form_text(forms[1]))
    for row, mark in enumerate(marks.tolist()):
        values = {"row": row, "row_stride": pitch, "cell": row * pitch}
        assert eval(formula, values) == batch.key_ids[0, 1, mark]
    names = re.findall(r"(?:^|; )(\w+):", symbols_text(coupling))
    assert names == ["row", "row_stride", "cell"]
    assert symbols_text(Coupling("n", (Level(name="n", key={"a": Place()}, query={}),))) == ""


def test_show_aligns_an_instance() -> None:
    coupling = couplings.columns(TASK)
    batch = Batch.of(TASK.instances(Operands.from_ints([(999, 1), (12, 9)])), coupling)
    lines = show(TASK, coupling, batch, 1).splitlines()
    assert len({len(line) for line in lines}) == 1
    table = {line[:17].strip(): line[17:].split() for line in lines}
    assert table["token"] == list("^12+9=12$")
    assert table["column: is"] == list(".10.0.012")
    assert table["column: to come"] == list(".....012.")
    assert table["target"] == list(".....12$.")
    assert table["column"] == ["0", "2", "3", "4", "5", "6", "7", "8", "9"]
    full = show(TASK, coupling, batch, 1, padding=True).splitlines()
    assert full[1].split() == ["token", *"^_12+9=12$__"]
    unsolved = Batch.of(TASK.instances(Operands.from_ints([(12, 9)]), solved=False), coupling)
    shown = show(TASK, coupling, unsolved, 0).splitlines()
    assert shown[1].split() == ["token", *"^12+9=____"]
    assert shown[2].split()[2:] == list(".10.0.0123")
    with pytest.raises(ValueError, match="instance below 2, got 2"):
        show(TASK, coupling, batch, 2)
