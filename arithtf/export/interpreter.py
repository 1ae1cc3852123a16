"""Solves arithmetic by the integers of a trained model. Plain Python: no package, no float.

    python solve.py "12+34"          one line or several; without any, lines of standard input

`model.json` beside this file holds the integers. A token is written by four steps:

1. The prompt's tokens, and the one to come, get position ids: sums of what is known of a place.
2. The query sees the tokens whose ids are within its windows. That is its local context.
3. Attention mixes a row of numbers of each visible token. Query, key and their id difference name a
   score s in a table; a token's weight is 2^(s - largest s), and a mean is a sum divided by a sum.
4. MLP blocks and the unembedding are products with integer matrices, shifted right.

All is exact in Python's integers, so every machine writes the same. `certificate.json` says in how
many local contexts the right token comes out on top; they are all that any problem can show.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from operator import mul
from pathlib import Path
from typing import Any

Number = Any  # an integer, or an array of them
Json = dict[str, Any]
Take = Callable[[Any, Any], Any]

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
PLACE, SCORE, LEAST = 12, 10, 40  # binary places of a normed row, of a score; of the least weight


def root(n: Number) -> Number:
    """The largest r with r * r <= n < 2^60; of integers, or of arrays of them."""
    r = 0 * n
    for bit in range(29, -1, -1):
        more = r + (1 << bit)
        r = r + ((more * more <= n) << bit)
    return r


class Network:
    """Logits of local contexts. `take` reads tables: lists here, arrays where many are checked."""

    def __init__(self, network: Json, take: Take = lambda table, i: table[i]) -> None:
        self.network, self.take = network, take

    def logits(self, query: Number, seen: list[Any]) -> list[Number]:
        """seen: (level, id difference, token) of what is visible besides the sink."""
        net, take = self.network, self.take
        stream = list(take(net["stream"], query))
        for head in net["heads"]:
            here = [(d, token) for level, d, token in seen if level == head["level"]]
            pairs = [(str(d), query * len(net["stream"]) + token) for d, token in here]
            scores = [take(head["scores"][d], pair) for d, pair in pairs]
            rows = [take(head["values"], token) for _, token in here]
            if net["sinks"]:
                scores.append(take(head["sink"], query))
                rows.append(take(head["values"], net["bos"]))
            if scores:
                weights = self.weights(scores)
                mixed = [sum(map(mul, weights, c)) // sum(weights) for c in zip(*rows, strict=True)]
                stream = [x + y for x, y in zip(stream, mixed, strict=True)]
        for block in net["blocks"]:
            inner = self.product(block["up"], self.normed(stream))
            outer = self.product(block["down"], [x * (x > 0) for x in inner])
            stream = [x + y for x, y in zip(stream, outer, strict=True)]
        return self.product(net["unembedding"], self.normed(stream))

    def weights(self, scores: list[Number]) -> list[Number]:
        """Of each visible token: 2^(score - largest score), as an integer."""
        top = scores[0]
        for score in scores:
            top = top + (score - top) * (score > top)
        below = [at_most(top - score, LEAST << SCORE) for score in scores]
        powers = self.network["powers"]  # 2^(-i / 2^SCORE)
        return [self.take(powers, b % (1 << SCORE)) >> (b >> SCORE) for b in below]

    def normed(self, row: list[Number]) -> list[Number]:
        """A row divided by its root mean square, with PLACE binary places."""
        length = root(sum(x * x for x in row) // len(row) + self.network["epsilon"])
        return [(x << PLACE) // length for x in row]

    @staticmethod
    def product(matrix: Json, row: list[Number]) -> list[Number]:
        """A matrix of integers, each row with a factor of its own, times a row of numbers."""
        entries = zip(matrix["rows"], matrix["factors"], strict=True)
        return [sum(map(mul, weights, row)) * m >> matrix["shift"] for weights, m in entries]


def at_most(x: Number, most: int) -> Number:
    """The smaller of the two, for integers and arrays alike."""
    return x - (x - most) * (x > most)


def sizes(part: Json, lengths: list[int], base: int) -> tuple[int, int]:
    """Turns of rows, and columns of a row."""
    if part["turns"] is not None:
        return lengths[part["turns"]], lengths[part["columns"]] + 1
    turns = rest = len(lengths) - 1
    columns = max(lengths) + 1
    while rest:
        rest, columns = rest // base, columns + 1
    return turns, columns


def places(part: Json, lengths: list[int], base: int) -> Iterator[tuple[str, int, int]]:
    """Segment, row and index of every token of the answer, in order."""
    if "rows" in part:
        columns = max(lengths[: part["numbers"]])
        columns = min(columns, part["limit"] or columns)
        for segment, end in part["rows"]:
            yield from ((segment, 0, i) for i in range(columns))
            yield from ((end or segment, 0, i) for i in range(columns, columns + (1 if end else 2)))
        return
    turns, columns = sizes(part, lengths, base)
    count, first, repeat = turns * part["repeat"], part["first_row"], part["repeat"]
    for r in range(count):
        for one in part["passes"]:
            last = 0 if one["single"] else columns - 1
            for i in range(last + 1):
                where = (r % repeat == 0, (r + 1) % repeat == 0, r == count - 1, i == 0, i == last)
                for name in one["ends" if i == last else "names"]:
                    yield one["segments"][name]["".join("01"[w] for w in where)], first + r, i
    for segment, operands, row in part["tail"]:
        number = {"zero": 0, "last": first + count - 1, "next": first + count}[row]
        for i in range(sum(lengths[k] for k in operands) + 1):
            yield segment, number, i


def read(data: Json, line: str) -> tuple[Json, list[list[int]]]:
    """The part of the model that a line asks for, and its operands' digits."""
    line = "".join(line.split()).lower()
    for part in data["parts"]:
        texts = line.split(part["sign"]) if part["sign"] else [line]
        if len(texts) == part["arity"] or (part["arity"] == 0 and len(texts) > 1):
            break
    else:
        signs = " or ".join(repr(part["sign"]) for part in data["parts"])
        raise ValueError(f"expected operands with {signs} between them, got {line!r}")
    for text in texts:
        if not text or set(text) - set(DIGITS[: data["base"]]):
            raise ValueError(f"expected digits of base {data['base']}, got {text!r}")
    texts = [text if part["strings"] else text.lstrip("0") or "0" for text in texts]
    if part["last_digit"] and len(texts[-1]) > 1:
        raise ValueError(f"expected one digit at the end, got {texts[-1]!r}")
    if part["divides"] and texts[-1] == "0":
        raise ValueError("expected a divisor other than 0")
    return part, [[DIGITS.index(c) for c in text] for text in texts]


def prompt(words: list[str], part: Json, operands: list[list[int]]) -> Iterator[Any]:
    """(token, segment, row, index from the left, index from the right) of the prompt's tokens."""
    longest = max(map(len, operands)) if part["padded"] else 0
    names = part["prompt"]
    yield words.index("^"), names[0], 0, 0, 0
    for k, digits in enumerate(operands):
        row = k if part["repeated"] else 0
        if k:
            yield words.index(part["sign"]), names[2], row, 0, 0
        digits = [0] * (longest - len(digits)) + digits
        for i, digit in enumerate(digits[::-1] if part["reversed"] else digits):
            yield digit, names[3 if k else 1], row, i, len(digits) - 1 - i
    yield words.index("="), names[-1], 0, 0, 0


def position(
    level: Json, form: Json, stride: int, row: int, left: int, right: int, index: int
) -> int:
    """A position id, from what is known of a token's place."""
    known = {"offset": 1, "left": left, "right": right, "row": row, "index": index}
    known |= {"row_stride": stride, "cell": row * stride}
    value = level["start"][0] + sum(known[name] * factor for name, factor in form.items())
    return value % level["period"] if level["period"] else value


def solve(data: Json, line: str) -> tuple[Json, list[tuple[str, str, int]]]:
    """What the model writes up to the end mark: (word, segment, row) of each token."""
    part, operands = read(data, line)
    network, words, base = Network(data["network"]), data["words"], data["base"]
    lengths = [len(digits) for digits in operands]
    stride = 0 if "rows" in part else sizes(part, lengths, base)[1] + 2
    keys: list[dict[int, list[int]]] = [{} for _ in data["levels"]]  # tokens by position id
    answers: dict[Any, int] = {}  # tokens by local context
    written: list[tuple[str, str, int]] = []

    def add(index: int, token: int, segment: str, *known: int) -> None:
        for level, ids in zip(data["levels"], keys, strict=True):
            if segment in level["key"] and index >= data["network"]["sinks"]:
                row, left, right = known
                place = position(level, level["key"][segment], stride, row, left, right, index)
                ids.setdefault(place, []).append(token)

    start = list(prompt(words, part, operands))
    for index, token in enumerate(start):
        add(index, *token)
    query = start[-1][0]
    for index, (segment, row, i) in enumerate(places(part, lengths, base), len(start)):
        seen = []
        for number, level in enumerate(data["levels"]):
            back, ahead = data["windows"][number]
            if segment in level["query"]:
                own = position(level, level["query"][segment], stride, row, i, 0, index)
                for d in range(-back, ahead + 1):
                    seen += [(number, d, token) for token in keys[number].get(own + d, ())]
        context = (query, *sorted(seen))
        if context not in answers:
            logits = network.logits(query, seen)
            answers[context] = logits.index(max(logits))
        query = answers[context]
        if words[query] == "$":
            return part, written
        written.append((words[query], segment, row))
        add(index, query, segment, row, i, 0)
    raise ValueError(f"the model wrote no end mark: {''.join(word for word, *_ in written)}")


def answer(data: Json, line: str) -> str:
    """The answer as a person writes it; where the model says so, its tokens as they stand."""
    part, written = solve(data, line)
    rows = [row for _, segment, row in written if segment in part["answer"]]
    chosen = range(max(rows) if part["repeated"] else 0, max(rows) + 1)
    words = [word for word, segment, row in written if segment in part["answer"] and row in chosen]
    if part["reads"] in ("last", "text"):
        return words[-1] if part["reads"] == "last" else "".join(words)
    text = "".join(words)
    numbers = [n.lstrip("+-")[::-1].lstrip("0") or "0" for n in text.split("#")]
    return "-" * text.startswith("-") + " r ".join(numbers)


def main(lines: Iterable[str]) -> int:
    """Answers to standard output, a line each, "error" where there is none; the exit code."""
    data = json.loads((Path(__file__).parent / "model.json").read_text())
    code = 0
    for line in lines:
        try:
            print(answer(data, line), flush=True)
        except ValueError as error:
            code = 2
            print("error", flush=True)
            print(f"{line.strip()}: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or sys.stdin))
