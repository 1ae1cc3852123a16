"""The commands of `arithtf`: what they are called, what they take, where their work is done.

The modules beside this one are imported only when their command runs, since torch takes seconds.
"""

from __future__ import annotations

from pathlib import Path

from arithtf.commands.arguments import (
    any_lengths,
    file,
    lengths,
    new_file,
    or_pipe,
    run_directory,
    spans,
)
from arithtf.commands.form import (
    JSON,
    MAX_DIGITS,
    RECIPE,
    RUN,
    SETTINGS,
    Command,
    argument,
    flag,
    number,
    out,
)

COMMANDS = {
    "demo": Command(
        "demo:run",
        "train the adder, certify it, stress it, write the report: the whole story in one table",
        (out("run directory (runs/demo)", default=Path("runs/demo")), MAX_DIGITS, JSON),
        ("arithtf demo", "arithtf demo --out runs/adder --max-digits 100000"),
    ),
    "train": Command(
        "training:train",
        "train a recipe; `arithtf data` without arguments lists the recipes",
        (
            argument("recipe", RECIPE, metavar="RECIPE"),
            SETTINGS,
            out(
                "run directory (runs/ and the recipe's name, which follows from the task; where "
                "other fields are set also its seed and the beginning of its hash)"
            ),
            number("--seed", "of weights and data: short for seed=N"),
            number("--steps", "optimiser steps: short for steps=N", 1),
            flag("--resume", "go on from the last checkpoint"),
            flag(
                "--anyway",
                "train even if two problems show the same local context and need different tokens",
            ),
            JSON,
        ),
        (
            "arithtf train addition",
            "arithtf train addition task.base=16 lengths=1-8 model.width=96 --out runs/base-16",
            "arithtf train addition --seed 3 --out runs/seed-3",
            "arithtf train addition --resume",
            "arithtf train my_recipe.py",
        ),
    ),
    "teach": Command(
        "teach:teach",
        "choose the fewest problems that show every local context, train on them alone, certify",
        (
            argument("recipe", RECIPE, metavar="RECIPE"),
            SETTINGS,
            number("--digits", "of the longest operand (10)", 1, 1000, default=10),
            number("--rounds", "attempts to make the set smaller (20)", default=20),
            number("--seeds", "models trained, with the seeds 0, 1, ... (1)", default=1),
            number("--seed", "of the search (0)", default=0),
            flag("--json", "problems, bound and verdicts"),
            out("directory (runs/teach-RECIPE)"),
        ),
        ("arithtf teach carried-addition --seeds 8", "arithtf teach parity --digits 3 --json"),
    ),
    "evaluate": Command(
        "evidence:evaluate",
        "right answers, right work and right digits of random problems, with Wilson intervals",
        (
            RUN,
            argument(
                "--lengths", "digits of the operands (10,100,1000)", type=lengths, metavar="N,N,..."
            ),
            number(
                "--count",
                "problems per length (1000); where the test split has no more, each once",
                1,
                10**7,
            ),
            number("--seed", "of the problems (0)", default=0),
            JSON,
        ),
        (
            "arithtf evaluate runs/addition",
            "arithtf evaluate runs/addition --lengths 10,100,1000 --count 500",
        ),
    ),
    "stress": Command(
        "evidence:stress",
        "adversarial problems of every size: hard digits, ladders up to a million digits, lopsided",
        (
            RUN,
            argument(
                "--suite",
                "carry: chain length x place, of sums; adversarial: hard digits in every shape; "
                "ladder: 10, 100, ... digits; grid: length x length; "
                "tour: problems that contain every local context (all that the task has)",
                choices=("carry", "adversarial", "ladder", "grid", "tour", "all"),
                default="all",
            ),
            MAX_DIGITS,
            number(
                "--max-tokens",
                "tokens of the largest problem, its work included: the work of a product grows "
                "with the square of its digits (4194304)",
                1,
                default=1 << 22,
            ),
            JSON,
        ),
        (
            "arithtf stress runs/addition --suite carry",
            "arithtf stress runs/addition --max-digits 1000000",
            "arithtf stress runs/multiplication --suite ladder --max-tokens 20000000",
        ),
    ),
    "certify": Command(
        "evidence:certify",
        "check every local context of any problem of any length; exit code 0 only if certified",
        (RUN, out("the certificate (RUN/certificate.json)", new_file), JSON),
        ("arithtf certify runs/addition", "arithtf certify runs/addition --out addition.json"),
    ),
    "law": Command(
        "law:show",
        "compute the exact-match rate of a model at every length, without sampling",
        (
            RUN,
            argument(
                "--lengths",
                "digits of every operand (1 to 10^9)",
                type=any_lengths,
                metavar="N,N,...",
            ),
            flag("--json", "a list of objects with length and exact"),
        ),
        ("arithtf law runs/addition", "arithtf law runs/addition --lengths 10,1000000 --json"),
    ),
    "radius": Command(
        "radius:show",
        "prove how far all weights may move at once before a certificate breaks",
        (RUN, JSON),
        ("arithtf radius runs/addition", "arithtf radius runs/addition --json"),
    ),
    "verify-certificate": Command(
        "evidence:verify_certificate",
        "check a certificate against a run by a second, independent path",
        (
            argument(
                "certificate",
                "a certificate (RUN/certificate.json)",
                type=file,
                nargs="?",
                metavar="FILE",
            ),
            RUN,
            JSON,
        ),
        (
            "arithtf verify-certificate runs/addition",
            "arithtf verify-certificate runs/addition/certificate.json runs/addition",
        ),
    ),
    "solve": Command(
        "solve:solve",
        "let the model solve problems, one a line; `error` where a line is malformed",
        (
            RUN,
            flag("--show-work", "print all that the model writes, and the answer"),
            *(
                argument(
                    name,
                    f"{what}; - for a pipe (-)",
                    type=or_pipe(kind),
                    default="-",
                    metavar="FILE",
                )
                for name, what, kind in (
                    ("--input", "problems", file),
                    ("--output", "answers", new_file),
                )
            ),
        ),
        (
            "echo 958+67 | arithtf solve runs/addition",
            "arithtf solve runs/addition --input sums.txt --output answers.txt",
            "echo 7-12 | arithtf solve runs/subtraction --show-work",
        ),
    ),
    "export": Command(
        "export:export",
        "write a run's model as integers with an interpreter in plain Python, and certify that",
        (
            RUN,
            argument(
                "--int8",
                "matrices of 8-bit integers, as without this flag",
                action="store_const",
                const=8,
                dest="bits",
                default=8,
            ),
            number("--bits", "other sizes of the matrices' entries (8)", 2, 16, default=8),
            out("directory (RUN-intN for N bits, beside the run)"),
            JSON,
        ),
        ("arithtf export runs/addition --int8", "arithtf export runs/multiplication --bits 12"),
    ),
    "predict": Command(
        "predict:show",
        "predict, before training, what a model does on operands longer than those it will see",
        (
            argument(
                "task",
                "addition, multiplication, modular-addition or modular-multiplication",
                metavar="TASK",
            ),
            argument(
                "settings",
                "modulus=P of the modular tasks; base=B of the digits (10)",
                nargs="*",
                metavar="FIELD=VALUE",
            ),
            number(
                "--trained", "digits of the longest operands in training", 1, 999, required=True
            ),
            argument(
                "--tested",
                "digits, as in 1-9 or 4,5,50 (up to five above the trained ones)",
                type=spans,
                metavar="N-N,N,...",
            ),
            argument(
                "--operands",
                "which have the tested length: both; the longest; one, the other at most trained "
                "(both)",
                choices=("both", "longest", "one"),
                default="both",
            ),
            number("--terms", "operands of a sum (2)", 2, 100, default=2),
            flag("--digits", "how often each digit of the answer is right, units first"),
            flag("--plateaus", "instead, accuracies and losses at which training can rest"),
            flag("--json", "a list of objects with tested and accuracy, a fraction n/d"),
        ),
        (
            "arithtf predict modular-addition modulus=15 --trained 3 --tested 1-9",
            "arithtf predict multiplication --trained 3 --tested 4,50 --operands longest --json",
            "arithtf predict modular-addition modulus=200 --trained 4 --plateaus",
        ),
    ),
    "discover": Command(
        "discover:discover",
        "find a task's coupling from examples alone, train with it, certify; Ctrl-C keeps the best",
        (
            argument(
                "task",
                "name of a task, FILE.py or FILE.py:NAME for one of your own, PACKAGE.MODULE:NAME",
                metavar="TASK",
            ),
            SETTINGS,
            number("--seed", "of examples, weights and data: short for seed=N"),
            out("directory (runs/discover-TASK)"),
            flag("--no-train", "stop at the coupling, written to discovery.json"),
            JSON,
        ),
        (
            "arithtf discover addition",
            "arithtf discover addition task.base=3 model.hidden=128",
            "arithtf discover subtraction --no-train",
            "arithtf discover copy --seed 3 --out runs/found",
        ),
    ),
    "study": Command(
        "study:study",
        "grids of recipes and seeds: run by any number of workers, boards of what came of them",
        (
            argument(
                "action",
                "list: all studies; run: train and evaluate what nobody else is at; status: where "
                "every cell stands; predict: write predictions.json, before a run; board: the "
                "figures",
                choices=("list", "run", "status", "predict", "board"),
            ),
            argument(
                "study",
                "name of a study, FILE.py or FILE.py:NAME for one of your own, PACKAGE.MODULE:NAME",
                metavar="STUDY",
                nargs="?",
            ),
            argument(
                "settings",
                "parameters of the study, as in recipes=parity,copy seeds=8",
                nargs="*",
                metavar="PARAMETER=VALUE",
            ),
            out("folder of the study (studies/ and its name)"),
            argument(
                "--shard",
                "run: only every N-th cell from the I-th on, I from 0; under torchrun and in Slurm "
                "arrays the part of this process, else all",
                metavar="I/N",
            ),
            flag("--retry", "run: try cells that failed before once more"),
            flag("--json", "board, status, list: as JSON"),
            argument(
                "--markdown", "board: write it as Markdown too", type=new_file, metavar="FILE"
            ),
            argument("--html", "board: write it as a page too", type=new_file, metavar="FILE"),
        ),
        (
            "arithtf study list",
            "arithtf study run seeds recipes=parity,copy seeds=8",
            "arithtf study run my_study.py:widths --shard 0/2",
            "arithtf study status seeds recipes=parity,copy seeds=8",
            "arithtf study board seeds recipes=parity,copy seeds=8 --markdown board.md",
        ),
    ),
    "data": Command(
        "data:data",
        "show a recipe's instances: tokens, ids and targets, aligned",
        (
            argument(
                "recipe", f"{RECIPE}; without one, all are listed", metavar="RECIPE", nargs="?"
            ),
            SETTINGS,
            number("--show", "instances (3)", 1, 10**4, default=3),
            number("--seed", "of the data (0)", default=0),
        ),
        ("arithtf data", "arithtf data addition --show 2", "arithtf data addition task.base=16"),
    ),
    "report": Command(
        "evidence:report",
        "write RUN/report.html: one file with all figures, readable without a network",
        (RUN,),
        ("arithtf report runs/addition",),
    ),
    "table": Command(
        "overview:show",
        "all runs on one page, with the best published results beside them",
        (
            argument(
                "run_directories",
                "run directories (all under runs/)",
                type=run_directory,
                metavar="RUN",
                nargs="*",
            ),
            out("write it as Markdown as well", new_file),
            flag("--verify", "check each certificate by the second path"),
            JSON,
        ),
        ("arithtf table", "arithtf table runs/addition runs/subtraction --out table.md"),
    ),
    "doctor": Command(
        "doctor:run",
        "say what is installed, which implementation would run and why, and what is missing",
        (flag("--json", "what was found, as a list of objects"),),
        ("arithtf doctor",),
    ),
    "tune": Command(
        "tune:tune",
        "time tiles of the Triton kernels on this GPU and rewrite its configuration file",
        (
            argument("--kernel", "only these kernels (all)", nargs="+", metavar="NAME"),
            argument(
                "--size",
                "only numbers of 2 or 4 bytes; 4i: float32 in IEEE arithmetic (2 4)",
                nargs="+",
                choices=("2", "4", "4i"),
            ),
            out("instead of the package's file", new_file),
            JSON,
        ),
        ("arithtf tune", "arithtf tune --kernel short short_backward --out mine.json"),
    ),
}
