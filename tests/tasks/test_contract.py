"""The contract of tasks: what it has, what every task of it does, and tasks without digits."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from arithtf.tasks import (
    NO_ID,
    TASKS,
    Address,
    Batch,
    Coupling,
    Draw,
    Instances,
    Level,
    Operands,
    Place,
    ResidueAddition,
    Segments,
    Task,
    View,
    Vocabulary,
    task_from_dict,
    task_to_dict,
)
from arithtf.tasks.coupling import segment_numbers

EVERY = [View(ResidueAddition(51)) if name == "view" else TASKS[name]() for name in TASKS]
each_task = pytest.mark.parametrize("task", EVERY, ids=lambda task: task.name)


def test_a_task_has_at_most_eight_public_members():
    own = {n for n in [*vars(Task), *Task.__annotations__] if not n.startswith("_")}
    methods = {"vocabulary", "segments", "sample", "instances", "parse", "render"}
    assert own == Task.__abstractmethods__ | {"name", "registry"} == methods | {"name", "registry"}
    assert len(own) <= 8
    with pytest.raises(TypeError, match="abstract"):
        Task()


@each_task
def test_every_token_has_its_segment_and_every_target_its_token(task):
    assert isinstance(task, Task)
    assert task_from_dict(task_to_dict(task)) == task
    words, segments = task.vocabulary, task.segments
    assert len(set(segments.names)) == len(segments.names)
    assert set(segments.prompt) | set(segments.written) == set(segments.names)
    made = task.sample(Address(2, "train", 5), Draw((1, 6), 40))
    assert made.tokens.shape == made.targets.shape
    assert made.tokens.dtype == made.targets.dtype == words.dtype
    assert all(a.flags.c_contiguous for a in (made.tokens, made.targets))
    assert len(made) == len(made.runs) == 40
    numbers = segment_numbers(made)
    prompt = np.isin(numbers, [segments.names.index(name) for name in segments.prompt])
    np.testing.assert_array_equal(numbers == NO_ID, made.tokens == words.pad)
    asked = made.targets != made.ignore
    np.testing.assert_array_equal(made.tokens[:, 1:][asked[:, :-1]], made.targets[asked])
    assert not asked[:, -1].any()
    np.testing.assert_array_equal(asked[:, :-1], (numbers != NO_ID)[:, 1:] & ~prompt[:, 1:])
    assert prompt[:, made.start].all()
    assert not prompt[:, made.start + 1 :].any()


@each_task
def test_the_example_is_a_problem_like_any_other(task):
    problem = task.parse(task.example)
    assert task.is_valid(problem)
    problems = Operands.from_digits([problem], arity=len(problem))
    solved, unsolved = (task.instances(problems, solved=s) for s in (True, False))
    written = solved.targets[0][solved.targets[0] != solved.ignore]
    assert written[-1] == task.vocabulary.eos
    operands = [task.vocabulary.text(digits) for digits in problem]
    truth = task.truth(*(operands if task.strings else map(int, operands)))
    assert task.render(written) == str(truth)
    prompt = slice(0, solved.start + 1)
    np.testing.assert_array_equal(solved.tokens[:, prompt], unsolved.tokens[:, prompt])
    assert (unsolved.tokens[:, solved.start + 1 :] == task.vocabulary.pad).all()
    assert (unsolved.targets == unsolved.ignore).all()
    with pytest.raises(ValueError, match=r"expected|digit|sign|operand"):
        task.parse("no problem!")


@dataclass(frozen=True)
class Retrieval(Task):
    """Pairs of a key and a value, then one of the keys: the value is asked for.

    Keys are words of their own, so that there are more tokens than a byte can number.
    """

    keys: int = 300

    name = "retrieval"

    @property
    def vocabulary(self):
        return Vocabulary(["_", *(f"k{i}" for i in range(self.keys)), *"0123456789"])

    @property
    def segments(self):
        return Segments(("key", "value", "asked", "answer"), ("key", "value", "asked"))

    def sample(self, address, draw, *, threads=0):
        address.check()
        rng = np.random.default_rng([address.seed, address.step])
        pairs = [
            [(int(key), int(rng.integers(10))) for key in rng.choice(self.keys, n, replace=False)]
            for n in rng.integers(draw.lengths[0], draw.lengths[1] + 1, draw.size)
        ]
        return self.instances([(line, line[-1][0]) for line in pairs])

    def instances(self, problems, *, solved=True):
        """Problems: pairs of a key's and a value's number, and the key that is asked for."""
        longest = max(len(pairs) for pairs, _ in problems)
        words, width = self.vocabulary, 2 * longest + 2
        tokens = np.full((len(problems), width), words.pad, words.dtype)
        targets = np.full_like(tokens, np.iinfo(words.dtype).max)
        segment, starts = np.full(tokens.shape, -1), []
        for i, (pairs, asked) in enumerate(problems):
            n = 2 * len(pairs)
            flat = [t for key, value in pairs for t in (1 + key, 1 + self.keys + value)]
            tokens[i, : n + 1] = [*flat, 1 + asked]
            starts.append(n)
            if solved:
                tokens[i, n + 1] = targets[i, n] = 1 + self.keys + dict(pairs)[asked]
            segment[i, : n + 2] = [*[0, 1] * len(pairs), 2, 3]
        each = np.array(starts, np.int64)
        return Instances.of(tokens, targets, segment, self.segments, start=min(starts), starts=each)

    def parse(self, line):
        text, _, asked = line.partition("?")
        pairs = [tuple(map(int, pair.split("="))) for pair in text.split()]
        if int(asked) not in dict(pairs):
            raise ValueError(f"expected a key of the line after '?', got {asked}")
        return pairs, int(asked)

    def render(self, answer_tokens):
        return self.vocabulary.text(answer_tokens)


def test_a_task_of_more_words_than_a_byte_can_number():
    """Two forms say where a key's value stands; tokens, targets and ids go through a batch."""
    task = Retrieval()
    key = {"value": Place(index=1), "answer": Place(index=1)}
    coupling = Coupling("next", (Level(name="place", key=key, query={"answer": Place(index=1)}),))
    problems = [task.parse(line) for line in ("299=4 7=1 ?299", "5=9 ?5")]
    batch = Batch.of(task.instances(problems), coupling)
    assert batch.tokens.dtype == batch.targets.dtype == np.uint16
    assert batch.tokens.tolist() == [[300, 305, 8, 302, 300, 305], [6, 310, 6, 310, 0, 0]]
    ignore = batch.instances.ignore
    assert ignore == 2**16 - 1
    assert batch.targets[0].tolist() == [*[ignore] * 4, 305, ignore]
    assert batch.key_ids[1, 0].tolist() == [NO_ID, 1, NO_ID, 3, NO_ID, NO_ID]
    assert batch.query_ids[0, 0].tolist() == [*[NO_ID] * 4, 5, NO_ID]
    assert (batch.start, batch.instances.starts.tolist()) == (2, [4, 2])
    assert task.render(batch.tokens[0, 5:6]) == "4"
    open_ = task.instances(problems, solved=False)
    assert (open_.targets == ignore).all()
    assert segment_numbers(open_)[0].tolist() == [0, 1, 0, 1, 2, 3]
    one, other = (task.sample(Address(1, "all", 4), Draw((1, 9), 30)) for _ in range(2))
    assert one.tokens.tobytes() == other.tokens.tobytes()
    assert one.tokens.max() > 255


def test_factored_tokens_have_ids_of_their_own_column():
    """A token of three factors, aimed at itself (`ahead` 0), as a state of a graph's node is."""
    segments = Segments(("node",), ("node",))
    segment = np.array([[0, 0, 0, 0], [0, 0, -1, -1]])
    tokens = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    made = Instances.of(tokens, tokens.copy(), segment, segments, start=0, ahead=0)
    form = {"node": Place(left=1)}
    batch = Batch.of(made, Coupling("nodes", (Level(name="node", key=form, query=form),)))
    assert batch.tokens.shape == (2, 4, 3)
    assert batch.query_ids.shape == batch.key_ids.shape == (2, 1, 4)
    for ids in (batch.query_ids, batch.key_ids):
        assert ids[:, 0].tolist() == [[0, 1, 2, 3], [0, 1, NO_ID, NO_ID]]
    later = replace(made, ahead=1)
    ids = Coupling("nodes", (Level(name="node", key=form, query=form),)).ids(later)
    assert ids.query[:, 0].tolist() == [[1, 2, 3, NO_ID], [1, NO_ID, NO_ID, NO_ID]]


def test_segments_by_column_make_the_runs():
    """`Instances.of` numbers the tokens of each segment from the left, wherever they stand."""
    names = Segments(("key", "value", "asked", "answer"), ("key", "value", "asked"))
    segment = np.array([[0, 1, 0, 1, 2, 3], [0, 1, 2, 3, -1, -1], [0, 0, 1, 0, 2, 3]])
    tokens = np.arange(18, dtype=np.uint8).reshape(3, 6)
    made = Instances.of(tokens, np.full_like(tokens, 255), segment, names, start=2)
    assert (segment_numbers(made)[0] == segment[0]).all()
    assert (segment_numbers(made)[2] == segment[2]).all()
    level = Level(name="place", key=dict.fromkeys(names.names, Place(left=1)), query={})
    ids = Coupling("places", (level,)).ids(made).key[:, 0]
    assert ids[0].tolist() == [0, 0, 1, 1, 0, 0]
    assert ids[1, :4].tolist() == [0, 0, 0, 0]
    assert (ids[1, 4:] == NO_ID).all()
    assert ids[2].tolist() == [0, 1, 0, 2, 0, 0]


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ([[0, 1, 4]], "expected segment numbers -1..3, got 0..4"),
        ([[0, -1, 1]], "after the last token only"),
        ([[0, 1]], "expected targets of the tokens' shape"),
    ],
)
def test_segments_that_do_not_fit_are_named(segment, message):
    names = Segments(("key", "value", "asked", "answer"), ("key",))
    tokens = np.zeros((1, 3), np.uint8)
    with pytest.raises(ValueError, match=message):
        Instances.of(tokens, tokens, np.array(segment), names, start=0)
