"""Build the page: one HTML file without anything from outside, the same bytes for the same run."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from arithtf.model import Model
from arithtf.report.evidence import Evidence, read_evidence, results
from arithtf.runs import RunError, load_model, write_text

EXTRA = "the report needs matplotlib and jinja2; get them with `pip install 'arithtf[report]'`"

UNCHECKED = (
    "This rests on the first path alone: the second one, which derives all contexts anew, could "
    "only check that the certificate is unchanged and about these weights."
)


def write_report(run: str | os.PathLike[str]) -> Path:
    """Write RUN/report.html.

    Args:
        run: a run directory; what was not made yet is named on the page.

    Returns:
        The file.

    Raises:
        RunError: `run` is not a run directory, or matplotlib or jinja2 is missing.
        OSError: the file cannot be written.
    """
    path = Path(run) / "report.html"
    write_text(path, build_page(run))
    return path


def build_page(run: str | os.PathLike[str]) -> str:
    """The page as text.

    Args:
        run: a run directory.

    Raises:
        RunError: `run` is not a run directory, or matplotlib or jinja2 is missing.
    """
    try:
        jinja2 = import_module("jinja2")
        figures = import_module("arithtf.report.figures")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("jinja2", "matplotlib"):
            raise
        raise RunError(EXTRA) from None
    model: Model | None = None
    if (Path(run) / "model.safetensors").exists():
        model, _ = load_model(Path(run))
    evidence = read_evidence(Path(run), model, verify=True)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template("page.html").render(
        title=f"arithtf report: {evidence.shown}",
        name=f"recipe {evidence.recipe.name}, run {evidence.shown}",
        verdict=verdict(evidence),
        tiles=tiles(evidence, model),
        figures=figures.draw_all(evidence, model),
        contexts=figures.contexts_shown(evidence.certificate),
        results=results(evidence.rows, evidence.certificate if evidence.certified else None),
        facts=facts(evidence, model),
        commands=commands(evidence),
    )
    return page


class Headline(NamedTuple):
    """What may be claimed about a run: good, open or bad, in a word and a sentence, and why."""

    kind: str
    text: str
    claim: str
    because: str


def verdict(evidence: Evidence) -> Headline:
    """The headline: what may be claimed about this run, and why."""
    certificate, task = evidence.certificate, evidence.recipe.task.name
    trained = f"Trained on {evidence.recipe.trained_on} only."
    if evidence.failures:
        because = (
            f"{trained} {evidence.failures:,} of the problems it was given came out wrong; see "
            "below where."
        )
        if certificate is not None and certificate["verdict"] == "certified":
            because += " Its certificate says otherwise: one of the two is a defect."
        return Headline("bad", "NOT EXACT", f"This model is not exact at {task}", because)
    if certificate is None:
        claim = f"A model that learns {task}, not certified"
        because = f"{trained} {evidence.open_reason}"
        text = "NOT CERTIFIED YET" if evidence.on_operands else "SAMPLED"
        return Headline("open", text, claim, because)
    if not evidence.certified:
        text = "NOT CERTIFIED" if certificate["verdict"] == "refused" else "WRONG"
        because = f"{trained} {_sentence(certificate['reason'])}"
        return Headline("bad", text, f"No proof that this model is exact at {task}", because)
    because = (
        f"{trained} Each answer token depends on one of {certificate['contexts']:,} local "
        "contexts, whatever the length of the operands. The model was run on every one of them "
        f"and is right on all, by at least {certificate['lower']:.3g} logits after any rounding."
    )
    if evidence.unchecked:
        because += f" {UNCHECKED}"
    claim = f"{task.capitalize()}, exact at every operand length"
    return Headline("good", "CERTIFIED", claim, because)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def tiles(evidence: Evidence, model: Model | None) -> list[tuple[str, str, str]]:
    """The numbers of the header: value, what it is, its grade."""
    found = [(evidence.recipe.trained_on, "trained on", "")]
    if evidence.certified:
        found.append(("every length", "exact", "certified"))
    farthest = max((p.length for p in evidence.points if p.grade == "stressed"), default=0)
    if farthest and not evidence.failures:
        found.append((f"{farthest:,} digits", "no error up to", "stressed"))
    if evidence.certificate and evidence.certificate["margin"] is not None:
        margin = f"{evidence.certificate['margin']:.3g} logits"
        found.append((margin, "smallest margin", "certified" if evidence.certified else ""))
    if model is not None:
        found.append((f"{model.num_parameters():,}", "parameters", ""))
    if "seconds" in evidence.timing:
        found.append((f"{evidence.timing['seconds']:.0f} s", "of training", ""))
    return found


def facts(evidence: Evidence, model: Model | None) -> list[tuple[str, str]]:
    """What a reader needs to judge or repeat the run."""
    recipe, timing, certificate = evidence.recipe, evidence.timing, evidence.certificate
    config = recipe.model
    task = ", ".join(f"{name} {value}" for name, value in recipe.to_dict()["task"].items())
    rows = [
        ("recipe", f"{recipe.name}, seed {recipe.seed}"),
        ("task", task),
        (
            "coupling",
            f"{recipe.coupling.name}; levels: "
            f"{', '.join(level.name for level in recipe.coupling.levels)}",
        ),
        ("encoding", str(config.encoding)),
        (
            "model",
            f"{' → '.join(config.blocks)}; width {config.width}, {config.heads} heads, "
            f"hidden {config.hidden}",
        ),
        (
            "training",
            f"{recipe.budget}, objective {recipe.objective}, AdamW, peak learning rate "
            f"{recipe.learning_rate:g}, {recipe.schedule} schedule",
        ),
    ]
    rows += [("changed", _sentence(change)) for change in evidence.changes]
    if model is not None:
        rows.insert(5, ("parameters", f"{model.num_parameters():,}"))
        rows.append(("weights", f"SHA-256 {evidence.weights}"))
    if timing:
        rows.append(
            (
                "training time",
                f"{timing['seconds']:.1f} s on {timing['threads']} "
                f"thread(s), {timing['gpu'] or timing['machine']}",
            )
        )
        rows.append(("versions", f"PyTorch {timing['torch']}, Python {timing['python']}"))
    if certificate is not None:
        rows += _certificate_facts(certificate)
    if evidence.verified:
        rows.append(
            (
                "second path",
                "the certificate was checked for this page by the second path, "
                "which derives and evaluates all contexts anew: it holds",
            )
        )
    if evidence.unchecked:
        rows.append(("second path", _sentence(f"not asked: {evidence.unchecked}")))
    return rows


def _certificate_facts(certificate: Any) -> list[tuple[str, str]]:
    made = f"{certificate['verdict']}, made in {certificate['seconds']:.1f} s"
    if certificate["contexts"]:
        ran = ", ".join(certificate["implementations"])
        made += f"; {certificate['dtype']}, attention by {ran}"
    rows = [("certificate", made)]
    if certificate["contexts"]:
        rows.append(("contexts", f"SHA-256 {certificate['contexts_hash']}"))
    versions = certificate["versions"] or {}
    rows.append(("made with", ", ".join(f"{name} {text}" for name, text in versions.items())))
    return rows


def commands(evidence: Evidence) -> list[str]:
    """The commands that make this run and its report again."""
    run = evidence.quoted
    if not evidence.on_operands:
        return [evidence.train_command, f"arithtf evaluate {run}", f"arithtf report {run}"]
    return [
        evidence.train_command,
        f"arithtf certify {run}",
        f"arithtf verify-certificate {run}",
        f"arithtf evaluate {run}",
        f"arithtf stress {run}",
        f"arithtf report {run}",
    ]
