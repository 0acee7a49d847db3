"""Assemble the page of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mejiro import __version__
from mejiro.report.elements import Bar, Fact, Tone
from mejiro.report.html import Page, render_page
from mejiro.report.numbers import duration, megabytes, percent
from mejiro.report.training.balance import ClassSize, class_sizes, imbalance
from mejiro.report.training.confusion import NUMBERED_CLASSES, matrix_figure, matrix_table
from mejiro.report.training.exports import Exports
from mejiro.report.training.figures import plot_balance, plot_calibration, plot_curves
from mejiro.report.training.mistakes import (
    Mistake,
    Thumbnail,
    thumbnail,
    worst_mistakes,
)
from mejiro.report.training.run_files import RunFiles
from mejiro.report.training.tables import class_table, export_table, pair_table, weakest_first
from mejiro.report.training.words import (
    balance_words,
    calibration_words,
    lead_words,
    mistake_words,
    setting_rows,
    title_words,
    warnings,
)
from mejiro.train.metrics import Metrics

MISTAKES = 12
PAIRS = 12
FACTS = 4  # one row of a wide screen
# A matrix of so few classes shows by itself what is confused.
_EVIDENT_CLASSES = 5
# More classes than these are listed below a fold, but for the weakest.
_LISTED_CLASSES = 30
_WEAKEST = 12


def training_page(run: RunFiles, metrics: Metrics, *, kept: int | None) -> str:
    """Return the HTML of a run's report; `kept` is the place of the epoch whose weights stayed."""
    sizes = class_sizes(run.split, run.labels)
    exports = current_exports(run)
    cards = _cards(run)
    ordered = weakest_first(metrics)
    many = len(ordered) > _LISTED_CLASSES
    wrong = metrics.pictures - metrics.right
    numbered = len(run.labels) <= NUMBERED_CLASSES
    return render_page(
        "training.html",
        package="mejiro.report.training",
        page=Page(
            title=title_words(run),
            kind="training report",
            footer=f"Written by mejiro {__version__}. The same figures for programs: metrics.json.",
        ),
        content={
            "lead": lead_words(run, metrics, kept),
            "warnings": warnings(run, metrics, exports),
            "facts": _facts(run, metrics, sizes, exports),
            "exports": exports and export_table(exports),
            "run": run.folder.name,
            "curves": plot_curves(run.history, kept=kept),
            "mistakes": cards,
            "any_picture": any(card["image"] for card in cards),
            "mistake_words": mistake_words(
                len(cards), wrong, sum(not card["image"] for card in cards)
            ),
            "matrix": matrix_table(metrics) if numbered else None,
            "matrix_figure": None if numbered else matrix_figure(metrics),
            "pairs": pair_table(metrics, count=PAIRS)
            if wrong and len(run.labels) > _EVIDENT_CLASSES
            else None,
            "classes": class_table(ordered[:_WEAKEST] if many else ordered, sizes),
            "all_classes": class_table(metrics.per_class, sizes) if many else None,
            "class_count": len(ordered),
            "averages": _averages(metrics),
            "balance": plot_balance(sizes),
            "balance_words": balance_words(sizes, imbalance(sizes)),
            "calibration": plot_calibration(metrics),
            "calibration_words": calibration_words(metrics),
            "notes": run.notes,
            "settings": setting_rows(run.settings),
            "surroundings": _surroundings(run),
        },
    )


def current_exports(run: RunFiles) -> Exports | None:
    """Return the scores of the exported files, unless they are of earlier weights."""
    exports = run.exports
    return exports if exports and exports.model_sha256 == run.model_sha256 else None


def _facts(
    run: RunFiles, metrics: Metrics, sizes: Sequence[ClassSize], exports: Exports | None
) -> list[Fact]:
    low, high = metrics.interval
    guess = max(one.pictures for one in metrics.per_class) / metrics.pictures
    weakest = weakest_first(metrics)[0]
    facts = [
        Fact(
            percent(metrics.accuracy),
            "%",
            "validation accuracy",
            f"95% interval {percent(low)} to {percent(high)}; always answering the largest class "
            f"would give {percent(guess)}",
        )
    ]
    if exports is not None and len(exports.scores) > 1:
        # The first that the user has, else the first that was scored.
        shipped = max(exports.scores[1:], key=lambda score: score.kept)
        of_float = percent(exports.scores[0].evaluation.top1)
        note = f"{megabytes(shipped.size_bytes)} MB; float Keras {of_float}%"
        facts.append(Fact(percent(shipped.evaluation.top1), "%", shipped.name, note))
    note = f"the mean of all classes; the weakest, {weakest.label.short}, has "
    note += percent(weakest.f1 or 0.0)
    facts.append(Fact(percent(metrics.macro_f1), "%", "macro F1", note))
    if metrics.top5 is not None:
        facts.append(Fact(percent(metrics.top5), "%", "top-5", "truth among the first five"))
    error = f"{100 * metrics.calibration_error:.1f}"
    note = "how far confidence and accuracy lie apart"
    facts.append(Fact(error, "points", "calibration error", note))
    return facts[:FACTS]


def _cards(run: RunFiles) -> list[dict[str, Any]]:
    """Return the worst mistakes with their pictures, as far as these are still there."""
    hashes = {picture.path: picture.sha256 for picture in run.split.val}
    found = worst_mistakes(run.predictions, run.labels, count=MISTAKES)
    return [_card(mistake, thumbnail(mistake.path, hashes)) for mistake in found]


def _card(mistake: Mistake, small: Thumbnail) -> dict[str, Any]:
    return {
        "image": small.image,
        "problem": small.problem,
        "place": mistake.path.name,
        "alt": f"{mistake.path.name}: {mistake.truth.short} taken for {mistake.answer.short}",
        "bars": [
            Bar(
                name=label.short,
                share=share,
                text=f"{percent(share)}%",
                tone=tone,
            )
            for label, share, tone in (
                (mistake.answer, mistake.confidence, Tone.BAD),
                (mistake.truth, mistake.given_truth, Tone.GOOD),
            )
        ],
    }


def _averages(metrics: Metrics) -> str:
    return (
        f"Macro averages: precision {percent(metrics.macro_precision)}%, recall "
        f"{percent(metrics.macro_recall)}%, F1 {percent(metrics.macro_f1)}%. Precision: the share "
        "of this answer that was right; recall: the share of the class's pictures that were found."
    )


def _surroundings(run: RunFiles) -> list[tuple[str, str]]:
    """Return where the weights began and which versions trained them, as the model records."""
    weights = run.lineage.get("weights", {})
    made_with = run.lineage.get("made_with", {})
    seconds = [epoch.seconds for epoch in run.history if epoch.seconds == epoch.seconds]
    rows = [
        ("weights", weights.get("summary", "") if isinstance(weights, dict) else ""),
        ("versions", ", ".join(f"{name} {value}" for name, value in made_with.items())),
        ("time", f"{duration(sum(seconds))}, {len(run.history)} epochs"),
        ("model", f"model/model.keras, SHA-256 {run.model_sha256[:16]}…"),
    ]
    return [(name, value) for name, value in rows if value]
