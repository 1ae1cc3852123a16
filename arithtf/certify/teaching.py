"""Minimal teaching sets: the fewest short problems that show every local context of a task.

A model that predicts from local contexts can learn from a problem only the contexts it shows. So a
set of problems that shows them all is enough to teach the task at every length, and no set that
leaves one out can be trusted to. To find the smallest set is set cover, which is hard; here a set
is built greedily and then improved, and a lower bound says how far from the least it may be.

1. *Greedy*: the next problem is found by ascent: of a random problem, digits are changed column by
   column to what shows the most contexts that are not shown yet.
2. *Improvement*: one problem is taken out, and the digits of the others are changed, column by
   column, as long as no fewer contexts are shown. If in the end all are shown again, the set is one
   smaller.
3. *Lower bound*: contexts are of kinds, by the segment of the token they decide. A problem has so
   many tokens of each kind and no more: of carried addition's 200 contexts with two digits and a
   carry a sum of ten digits shows at most ten, so 20 sums are needed at least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.contexts import layouts
from arithtf.certify.provable import CannotCertify, check_task
from arithtf.encodings import Encoding
from arithtf.model import ContextSet
from arithtf.tasks import IGNORE, ArithmeticTask, Batch, Coupling, Operands
from arithtf.tasks.arithmetic.operands import digits_text
from arithtf.tasks.coupling import NO_ID, segment_numbers

Ints = NDArray[np.int64]
Problem = tuple[tuple[int, ...], ...]

WIDEST = 1000  # variants of a column that are looked at together
HEAT = 0.15  # how readily the search goes through worse sets, see `_best`
PATIENCE = 600  # changes without a gain after which an improvement is given up


@dataclass(frozen=True)
class TeachingSet:
    """Problems that show every local context.

    Args:
        problems: as a person writes them.
        contexts: number of contexts.
        bound: no set of problems of these lengths has fewer.
    """

    problems: tuple[str, ...]
    contexts: int
    bound: int


def teaching_set(
    task: ArithmeticTask,
    coupling: Coupling,
    encoding: Encoding,
    *,
    digits: int = 10,
    seed: int = 0,
    rounds: int = 20,
    progress: Callable[[int, int], None] = lambda problems, missing: None,
) -> TeachingSet:
    """Choose the fewest problems of the split "train" that show every local context.

    Args:
        task: a task whose contexts can be enumerated.
        coupling, encoding: what decides which contexts there are.
        digits: of the longest operand.
        seed: of the search; the same seed, the same problems.
        rounds: attempts to make the set smaller.
        progress: called with the number of problems and of contexts not shown yet.

    Raises:
        CannotCertify: contexts cannot be enumerated, or problems of so few digits do not show all.
    """
    search = _Search(task, coupling, encoding, digits, seed)
    chosen = search.greedy(progress)
    bound = search.bound()
    for _ in range(rounds):
        if len(chosen) > bound:
            chosen = search.smaller(chosen, progress) or chosen
    texts = tuple(task.question([digits_text(np.array(d)) for d in p]) for p in chosen)
    return TeachingSet(texts, search.count, bound)


class _Search:
    """The contexts that problems show, as numbers, and the search over problems.

    A context is named by a sum of random 64-bit words, one for the query token and one for each
    visible (level, difference, token): the same for any order, and different for different contexts
    but for one chance in 10^13.
    """

    def __init__(
        self, task: ArithmeticTask, coupling: Coupling, encoding: Encoding, digits: int, seed: int
    ) -> None:
        found = check_task(task, coupling, encoding.windows, sinks=encoding.sinks)
        self.task, self.coupling, self.digits = task, coupling, digits
        self.windows, self.sinks = found.windows, encoding.sinks
        self.operands, self.instance = found.operands, found.contexts.instance
        self.random = np.random.default_rng(seed)
        words = np.random.default_rng(0).integers(0, 1 << 63, 256, np.int64)
        self.of_query = words
        codes = self._codes(found.contexts)
        self.order = np.argsort(codes)
        self.sorted = codes[self.order]
        if len(np.unique(codes)) < len(codes):
            raise CannotCertify("two contexts have one code: this is a defect of arithtf")
        self.count = len(codes)
        self.columns = [*product(range(task.base), repeat=task.arity)]
        self.segments = np.full(self.count, -1)

    def _words(self, level: Ints, difference: Ints, token: Ints) -> Ints:
        number = (level * 64 + difference + 32) * 256 + token
        mixed = number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        return (mixed ^ (mixed >> np.uint64(32))).astype(np.int64)

    def _codes(self, contexts: ContextSet) -> Ints:
        words = self._words(
            contexts.level.astype(np.int64),
            contexts.difference.astype(np.int64),
            contexts.token.astype(np.int64),
        )
        codes = self.of_query[contexts.query_token]
        row = np.repeat(np.arange(len(codes)), np.diff(contexts.offsets))
        with np.errstate(over="ignore"):
            np.add.at(codes, row, words)
        return codes

    def shown(self, problems: Sequence[Problem]) -> Iterator[Ints]:
        """The numbers of the contexts that each problem shows, with repetitions."""
        operands = Operands.from_digits(problems, arity=self.task.arity)
        for batch in layouts(self.task, self.coupling, operands):
            codes, asked = self._of_batch(batch)
            place = np.minimum(np.searchsorted(self.sorted, codes), self.count - 1)
            if (self.sorted[place] != codes)[asked].any():
                raise CannotCertify("a problem shows a context that was not enumerated")
            numbers = self.order[place]
            assert batch.instances is not None
            segment = segment_numbers(batch.instances)[:, 1:]
            self.segments[numbers[asked][:, None]] = segment[asked][:, None]
            for row, here in zip(numbers, asked, strict=True):
                yield row[here]

    def _of_batch(self, batch: Batch) -> tuple[Ints, NDArray[np.bool_]]:
        """Codes [B, T - 1] of the queries, and which of them predict."""
        asked = batch.targets[:, :-1] != IGNORE
        codes = self.of_query[batch.tokens[:, :-1]]
        token = batch.tokens.astype(np.int64)
        for level, (back, ahead) in enumerate(self.windows):
            key = batch.key_ids[:, level].astype(np.int64)
            query = batch.query_ids[:, level, :-1].astype(np.int64)
            known = key != NO_ID
            known[:, : self.sinks] = False
            row, column = np.nonzero(known)
            at, place = np.nonzero(asked & (query != NO_ID))
            for apart in range(-back, ahead + 1):
                pairs = _equal((row, key[row, column]), (at, query[at, place] + apart))
                seen, asking = column[pairs[0]], place[pairs[1]]
                kept = seen <= asking
                here, seen, asking = at[pairs[1]][kept], seen[kept], asking[kept]
                count = len(here)
                words = self._words(np.full(count, level), np.full(count, apart), token[here, seen])
                np.add.at(codes, (here, asking), words)
        return codes, asked

    def bound(self) -> int:
        """Problems that are needed at least, by the tokens that one can have of each segment."""
        most = np.zeros(len(self.task.segments.names), np.int64)
        for lengths in product(range(1, self.digits + 1), repeat=self.task.arity):
            digits = [np.ones(length, np.uint8) for length in lengths]
            if not self.task.is_valid(digits):
                continue
            operands = Operands.from_digits([digits], arity=self.task.arity)
            segment = segment_numbers(self.task.instances(operands, solved=False))[0]
            written = np.bincount(segment[segment >= 0], minlength=len(most))
            most = np.maximum(most, written)
        needed = [
            -(-int((self.segments == s).sum()) // int(most[s])) for s in np.unique(self.segments)
        ]
        return max(needed, default=0)

    def greedy(self, progress: Callable[[int, int], None]) -> list[Problem]:
        """Problems that show all, one after the other."""
        chosen: list[Problem] = []
        missing = np.ones(self.count, bool)
        while missing.any():
            problem, shows = self._ascent(missing)
            if not missing[shows].any():
                self._give_up(missing)
            chosen.append(problem)
            missing[shows] = False
            progress(len(chosen), int(missing.sum()))
        return chosen

    def smaller(
        self, chosen: Sequence[Problem], progress: Callable[[int, int], None]
    ) -> list[Problem] | None:
        """One problem less, if the search finds it."""
        problems, shows = list(chosen), [np.unique(s) for s in self.shown(chosen)]
        count = np.zeros(self.count, np.int64)
        for own in shows:
            count[own] += 1
        alone = [int((count[own] == 1).sum()) for own in shows]
        out = int(np.argmin(alone))
        count[shows.pop(out)] -= 1
        problems.pop(out)
        least, idle = int((count == 0).sum()), 0
        while least:
            if idle > PATIENCE or not problems:
                return None
            # What is shown twice can be given up: change problems that show much of it.
            twice = np.array([(count[own] > 1).sum() for own in shows]) + 1.0
            i = int(self.random.choice(len(problems), p=twice / twice.sum()))
            count[shows[i]] -= 1
            missing = count == 0
            problem, own = self._change(problems[i], shows[i], missing, heat=HEAT)
            problems[i], shows[i] = problem, own
            count[own] += 1
            now = int((count == 0).sum())
            least, idle = (now, 0) if now < least else (least, idle + 1)
            progress(len(problems), now)
        return problems

    def _ascent(self, missing: NDArray[np.bool_]) -> tuple[Problem, Ints]:
        """A problem that shows many missing contexts, and what it shows."""
        problem, own = self._best([*self._drawn(), *self._witnesses(missing)], missing)
        gain, before = int(missing[own].sum()), -1
        while gain > before:
            before = gain
            for place in self.random.permutation(self.digits):
                problem, own = self._change(problem, own, missing, int(place))
            gain = int(missing[own].sum())
        return problem, own

    def _change(
        self,
        problem: Problem,
        own: Ints,
        missing: NDArray[np.bool_],
        place: int | None = None,
        heat: float = 0,
    ) -> tuple[Problem, Ints]:
        """The problem with the digits of one column changed for the better; see `_best`."""
        if place is None:
            place = int(self.random.integers(self.digits))
        variants = [v for v in self._variants(problem, place) if self._is_taught(v)]
        return self._best([problem, *variants], missing, heat) if variants else (problem, own)

    def _best(
        self, problems: Sequence[Problem], missing: NDArray[np.bool_], heat: float = 0
    ) -> tuple[Problem, Ints]:
        """One of those that show the most missing contexts, and what it shows.

        With heat, one that shows n less is taken exp(-n / heat) times as often, so that a search
        does not end where no single change is for the better.
        """
        shown = [np.unique(own) for own in self.shown(problems)]
        gains = np.array([missing[own].sum() for own in shown], float)
        gains -= gains.max()
        odds = np.exp(gains / heat) if heat else (gains == 0).astype(float)
        at = int(self.random.choice(len(problems), p=odds / odds.sum()))
        return problems[at], shown[at]

    def _variants(self, problem: Problem, place: int) -> Iterator[Problem]:
        """All digits of a column, or of one operand's if they are too many together.

        Numbers have a digit 0 above their highest, so that they grow and shrink; strings do not.
        """
        digits = [self._digit(operand, place) for operand in problem]
        columns = self.columns
        if len(columns) > WIDEST:
            k = int(self.random.integers(len(problem)))
            columns = [(*digits[:k], d, *digits[k + 1 :]) for d in range(self.task.base)]
        for column in columns:
            yield tuple(
                self._changed(operand, place, digit)
                for operand, digit in zip(problem, column, strict=True)
            )

    def _digit(self, operand: tuple[int, ...], place: int) -> int:
        return operand[-1 - place] if place < len(operand) else 0

    def _changed(self, operand: tuple[int, ...], place: int, digit: int) -> tuple[int, ...]:
        """The operand with another digit at a place."""
        size = len(operand)
        if self.task.strings and place >= size:
            return operand
        padded = (*(0,) * (place + 1 - size), *operand)
        at = len(padded) - 1 - place
        changed = (*padded[:at], digit, *padded[at + 1 :])
        if self.task.strings:
            return changed
        first = next((i for i, d in enumerate(changed) if d), len(changed) - 1)
        return changed[first:]

    def _drawn(self, count: int = 64) -> list[Problem]:
        """Random problems, half of them with operands of the full length."""
        drawn: list[Problem] = []
        while len(drawn) < count:
            full = self.random.random() < 0.5
            lengths = [
                self.digits if full else int(self.random.integers(1, self.digits + 1))
                for _ in range(self.task.arity)
            ]
            digits = [self.random.integers(0, self.task.base, n).tolist() for n in lengths]
            problem = tuple(map(tuple, digits))
            if self._is_taught(problem):
                drawn.append(problem)
        return drawn

    def _witnesses(self, missing: NDArray[np.bool_], count: int = 32) -> list[Problem]:
        """Problems of the covering set that show some of the missing contexts."""
        some = self.random.permutation(np.flatnonzero(missing))[:count]
        found = (self.operands.problem(int(self.instance[i])) for i in some)
        problems = {tuple(tuple(digits.tolist()) for digits in problem) for problem in found}
        fitting = [p for p in sorted(problems) if max(map(len, p)) <= self.digits]
        return [p for p in fitting if self._is_taught(p)]

    def _is_taught(self, problem: Problem) -> bool:
        """Whether it is a problem of the split "train"."""
        digits = [np.array(operand, np.uint8) for operand in problem]
        numbers = self.task.strings or all(len(o) == 1 or o[0] for o in problem)
        if not (numbers and self.task.is_valid(digits)):
            return False
        return not self.task.in_test_split(Operands.from_digits([digits], arity=len(digits)))[0]

    def _give_up(self, missing: NDArray[np.bool_]) -> None:
        first = self.operands.problem(int(self.instance[np.flatnonzero(missing)[0]]))
        shown = self.task.question([digits_text(digits) for digits in first])
        raise CannotCertify(
            f"{int(missing.sum())} of {self.count} contexts were not found in problems of up to "
            f"{self.digits} digits of the split 'train' (one is shown by "
            f"{shown}); allow more digits"
        )


def _equal(keys: tuple[Ints, Ints], queries: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Numbers of all keys and queries, each a (row, id), that are equal."""
    low = min((int(ids.min(initial=0)) for _, ids in (keys, queries)), default=0)
    span = max(int(ids.max(initial=0)) for _, ids in (keys, queries)) - low + 1
    key, query = (row * span + ids - low for row, ids in (keys, queries))
    order = np.argsort(key, kind="stable")
    first, end = (np.searchsorted(key[order], query, side) for side in ("left", "right"))
    size = end - first
    asking = np.repeat(np.arange(len(query)), size)
    within = np.arange(len(asking)) - np.repeat(np.cumsum(size) - size, size)
    return order[np.repeat(first, size) + within], asking
