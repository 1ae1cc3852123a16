"""The best published results that we know of, task by task: a survey of September 2026.

"1-30 -> 200 digits" is: trained on 1 to 30 digits, tested at 200. `check` says how well a figure is
known: "confirmed" by the abstract, released code or two sources; "single source"; "secondary", that
is by way of other papers. A figure from a plot alone is left as words.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published result.

    Args:
        what: method, lengths and exact match.
        arxiv: its number; empty where nothing was found.
        check: how well it is known.
    """

    what: str
    arxiv: str = ""
    check: str = ""

    @property
    def text(self) -> str:
        """The result with its source, in one line."""
        if not self.arxiv:
            return self.what
        note = "" if self.check == "confirmed" else f", {self.check}"
        return f"{self.what} (arXiv {self.arxiv}{note})"


NONE = (Published("no result with a length axis found"),)

_COPIES = (
    Published("position coupling, 40 -> 300 items, near perfect", "2405.20671", "single source"),
)

_RESIDUES = (
    Published(
        "moduli 50 to 201, 100 and 101 among them, 4 -> 1-9 digits, accuracies not in the survey",
        "2407.17963",
        "confirmed",
    ),
)

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "addition": (
        Published(
            "position coupling, 1-30 -> 200 digits, 95.65 % median of 8 runs",
            "2405.20671",
            "confirmed",
        ),
        Published(
            "ALGA, 2 -> 1,000 digits, 100 % (20 trainings), its decode program pairs the digits",
            "2406.00075",
            "confirmed",
        ),
    ),
    "subtraction": (
        Published("Abacus, looped, mixed signs, 20 -> about 100 digits", "2405.17399", "secondary"),
    ),
    "running-sum": (
        Published(
            "bi-level coupling with running sums, 2-10 x 1-10 digits -> 30 numbers of 30 digits, "
            "plots of medians",
            "2410.15787",
            "confirmed",
        ),
    ),
    "times-digit": (
        Published("Turing Programs, 50 x 1 -> 100 x 1 digits, 97 %", "2407.03310", "secondary"),
        Published("structural symmetry, 5 -> 50 digits, high", "2406.01895", "confirmed"),
        Published(
            "attention bias calibration, 6 -> 50 digits, about 100 %", "2310.11984", "secondary"
        ),
    ),
    "modular-addition": _RESIDUES,
    "residue-addition": _RESIDUES,
    "multiplication": (
        Published(
            "tri-level coupling with a scratchpad, 10 x 10 -> 20 x 15 digits, plots",
            "2410.15787",
            "confirmed",
        ),
    ),
    "copy": _COPIES,
    "reverse": _COPIES,
    "parity": (
        Published(
            "attention bias calibration, 6 -> 50 bits, about 100 %", "2310.11984", "secondary"
        ),
    ),
    "calculator": (
        Published(
            "CAEF, seven operations, to 100 digits, about 100 %, 8 billion parameters and an "
            "executor outside the model",
            "2410.07896",
            "confirmed",
        ),
    ),
}
"""By the name of the task; for other tasks there is NONE."""
