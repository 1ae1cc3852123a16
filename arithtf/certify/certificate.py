"""What a certificate is, and its JSON form."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from arithtf.certify.bounded import ASSUMPTIONS
from arithtf.model import ContextSet
from arithtf.plain import from_fields
from arithtf.runs.shapes import COUNT, NUMBER, Kind, misfit

FORMAT = 3
_EDGES = NUMBER.listed()


def _is_histogram(value: Any) -> bool:
    if misfit(value, {"edges": _EDGES, "counts": COUNT.listed()}):
        return False
    edges = value["edges"]
    return len(edges) == len(value["counts"]) + 1 > 1 and edges == sorted(edges)


FIGURES = {
    "contexts": COUNT,
    "wrong": COUNT,
    "seconds": NUMBER,
    **dict.fromkeys(("margin", "lower", "bound"), NUMBER.or_null()),
    "histogram": Kind("margins and how many there are between them", _is_histogram).or_null(),
}
"""What figures of a certificate must be, before anything is done with them."""

Verdict = Literal["certified", "wrong", "refused"]


class CertificateError(ValueError):
    """A file is not a certificate that this version can read, or it was changed."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One local context, as a person sees it.

    Args:
        problem: a real problem in which the context occurs, with its true answer; empty if it is
            too long to show or has no text.
        place: which token of the answer is being written; 0 is the first.
        context: the query token and what it sees.
        expected: the right token as text.
        answered: the token the model gives.
        margin: logit of the right token minus the best other, in exact arithmetic.
        bound: how much of the margin rounding can take away.
    """

    problem: str
    place: int
    context: str
    expected: str
    answered: str
    margin: float
    bound: float

    def __str__(self) -> str:
        question = self.problem.partition("=")[0]
        return (
            f"{question}=, writing token {self.place} of the answer ({self.expected}): "
            f"margin {self.margin:.3f}"
        )


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The result of checking a model on every local context that any instance of any length has.

    Args:
        verdict: "certified": in every context every conforming float32 computation gives the right
            token the largest logit. "wrong": the model errs in some context. "refused": it cannot
            be decided, and `reason` says why.
        reason: why not certified; empty if it is.
        task, coupling, model: the plain forms, as in a run's config.json.
        weights: SHA-256 of the weights (`arithtf.runs.weights_hash`); empty if they have none.
        dtype: the arithmetic that the bound is for.
        assumptions: what a computation in it must be (`arithtf.certify.bounded.ASSUMPTIONS`).
        implementations: attention implementations that were run on every context.
        contexts: number of contexts.
        contexts_hash: SHA-256 of the set of contexts with their targets (`contexts_hash`).
        wrong: contexts in which the model errs.
        mistakes: the first of these.
        margin: smallest margin.
        lower: smallest margin minus its rounding bound; certified means it is positive.
        bound: largest rounding bound of a margin.
        worst: the context of the smallest margin.
        histogram: {"edges": n + 1 margins, "counts": n}.
        versions: of what took part.
        seconds: of the whole check.
    """

    verdict: Verdict
    reason: str
    task: Mapping[str, Any]
    coupling: Mapping[str, Any]
    model: Mapping[str, Any]
    weights: str
    dtype: str = "float32"
    assumptions: Mapping[str, str | int | float] = field(default_factory=lambda: ASSUMPTIONS)
    implementations: tuple[str, ...] = ()
    contexts: int = 0
    contexts_hash: str = ""
    wrong: int = 0
    mistakes: tuple[Shown, ...] = ()
    margin: float | None = None
    lower: float | None = None
    bound: float | None = None
    worst: Shown | None = None
    histogram: Mapping[str, Any] | None = None
    versions: Mapping[str, str] | None = None
    seconds: float = 0.0

    @property
    def certified(self) -> bool:
        """The model is proved exact at every operand length."""
        return self.verdict == "certified"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON form, with its format number and a digest of all the rest."""
        data = {"format": FORMAT, **json.loads(json.dumps(asdict(self)))}
        return {**data, "digest": digest(data)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Certificate:
        """The inverse of `to_dict`.

        Raises:
            CertificateError: another format, missing or unknown fields, or content that does not
                match its digest.
        """
        values = dict(data)
        if values.get("format") != FORMAT:
            raise CertificateError(
                f"expected a certificate of format {FORMAT}, got {values.get('format')!r}; "
                "certify the run again with this version"
            )
        found = values.pop("digest", None)
        if found != digest(values):
            raise CertificateError(
                "the certificate was changed after it was written: its digest does not fit; "
                "certify the run again"
            )
        del values["format"]
        try:
            if wrong := misfit(values, FIGURES):
                raise ValueError(wrong)
            made = from_fields(cls, values)
        except ValueError as error:
            raise CertificateError(f"not a certificate: {error}") from None
        figures = (made.margin, made.lower, made.bound)
        if made.certified and (made.wrong or not made.contexts or None in figures):
            raise CertificateError("not a certificate: it certifies without the figures of one")
        if made.histogram is not None and made.margin is None:
            raise CertificateError("not a certificate: it has margins, and no smallest one")
        return made

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the JSON file, atomically."""
        from arithtf.runs import write_json

        write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """Read the JSON file.

        Raises:
            CertificateError: it is not an unchanged certificate, or cannot be read.
        """
        from arithtf.runs import RunError, read_json

        try:
            data = read_json(Path(path))
        except RunError as error:
            raise CertificateError(str(error)) from None
        if not isinstance(data, dict):
            raise CertificateError(f"expected a JSON object in {path}, got {type(data).__name__}")
        return cls.from_dict(data)


def digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of JSON data without its "digest": keys sorted, no spaces."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def contexts_hash(contexts: ContextSet) -> str:
    """SHA-256 of a set of contexts, whatever their order.

    A context is a row of big-endian int32: query token, target, then (level, difference, token)
    of its entries in ascending order, and -1 up to the length of the longest row. The hash is over
    the number of columns as text, a newline, and the rows sorted by their bytes.
    """
    visible = np.diff(contexts.offsets)
    count = len(visible)
    rows = np.full((count, 2 + 3 * int(visible.max(initial=0))), -1, ">i4")
    rows[:, 0], rows[:, 1] = contexts.query_token, contexts.target
    row = np.repeat(np.arange(count), visible)
    column = 2 + 3 * (np.arange(len(row)) - np.repeat(contexts.offsets[:-1], visible))
    for i, part in enumerate((contexts.level, contexts.difference, contexts.token)):
        rows[row, column + i] = part
    ordered = np.sort(rows.view(f"V{rows.shape[1] * 4}").reshape(-1))
    return hashlib.sha256(f"{rows.shape[1]}\n".encode() + ordered.tobytes()).hexdigest()
