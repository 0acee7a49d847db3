"""Set a training run's figures into tables."""

from __future__ import annotations

from collections.abc import Sequence

from mejiro.model import Evaluation
from mejiro.report.elements import Cell, Column, Table, Tone, table
from mejiro.report.numbers import NOTHING, megabytes, percent
from mejiro.report.training.balance import ClassSize
from mejiro.report.training.exports import Exports
from mejiro.train.metrics import ClassMetrics, Metrics

# A loss is marked if it is more than so many points of top-1, and so many pictures: of few
# pictures each is more than a point, and one or two are chance.
_BAD_POINTS, _BAD_PICTURES = 1.0, 3
_FEW_PAIRS = 5


def export_table(exports: Exports) -> Table:
    """Return what ships beside the float network: top-1, agreement with it, size."""
    first = exports.scores[0]
    rows: list[list[Cell | str]] = []
    columns = [
        Column("model"),
        Column("top-1", "%", numeric=True),
        Column("against float", "points", numeric=True),
        Column("as float Keras", "%", numeric=True),
        Column("size", "MB", numeric=True),
    ]
    for score in exports.scores:
        shares, agreement = score.evaluation, score.evaluation.agreement
        rows.append(
            [
                Cell(score.name, score.file + ("" if score.kept else " · not kept")),
                percent(shares.top1),
                NOTHING if score is first else _change(shares, first.evaluation),
                NOTHING if score is first or agreement is None else percent(agreement),
                megabytes(score.size_bytes),
            ]
        )
    unread = len(first.evaluation.unreadable)
    left_out = f" {unread} could not be read and were left out." if unread else ""
    return table(
        columns,
        rows,
        caption=f"{exports.selection}{left_out} All are fed by the runtime's preprocessing, the "
        "code that a device runs; exported files are run by its engines. As float Keras: the share "
        "of pictures with the same first answer.",
    )


def _change(found: Evaluation, reference: Evaluation) -> Cell:
    """Return what a file gained or lost, in points and in pictures."""
    points = 100 * (found.top1 - reference.top1)
    pictures = round(found.pictures * found.top1) - round(reference.pictures * reference.top1)
    bad = points < -_BAD_POINTS and pictures <= -_BAD_PICTURES
    return Cell(
        _signed(f"{points:+.1f}"),
        f"{_signed(f'{pictures:+d}')} picture{'' if abs(pictures) == 1 else 's'}",
        tone=Tone.BAD if bad else Tone.PLAIN,
    )


def _signed(number: str) -> str:
    """Return a number with its sign as typography writes it; nought has none."""
    return number.lstrip("+") if not float(number) else number.replace("-", "−")


def pair_table(metrics: Metrics, *, count: int) -> Table:
    """Return the `count` pairs of classes that are taken for one another most often."""
    labels = [one.label.short for one in metrics.per_class]
    pairs = metrics.confused()
    shown = pairs[:count]
    # What happened once says little, unless it is all there is.
    if len(shown) > _FEW_PAIRS:
        shown = [*shown[:_FEW_PAIRS], *(pair for pair in shown[_FEW_PAIRS:] if pair.pictures > 1)]
    rows = []
    for pair in shown:
        pictures = metrics.per_class[pair.truth].pictures
        rows.append(
            [
                labels[pair.truth],
                labels[pair.answer],
                f"{pair.pictures} of {pictures}",
                percent(pair.pictures / pictures),
            ]
        )
    return table(
        [
            Column("truth"),
            Column("taken for"),
            Column("pictures", numeric=True),
            Column("share", "%", numeric=True),
        ],
        rows,
        caption=f"{len(shown)} of {len(pairs)} pairs." if len(pairs) > len(shown) else "",
        compact=True,
    )


def class_table(classes: Sequence[ClassMetrics], sizes: Sequence[ClassSize]) -> Table:
    """Return precision, recall and F1 of `classes`, in their order."""
    rows = [
        [
            one.label.short,
            str(sizes[one.label.index].train),
            str(one.pictures),
            _share(one.precision),
            _share(one.recall),
            _share(one.f1),
        ]
        for one in classes
    ]
    return table(
        [
            Column("class"),
            Column("train", numeric=True),
            Column("val", numeric=True),
            Column("precision", "%", numeric=True),
            Column("recall", "%", numeric=True),
            Column("F1", "%", numeric=True),
        ],
        rows,
        compact=True,
    )


def weakest_first(metrics: Metrics) -> list[ClassMetrics]:
    """Return the classes by F1, the lowest first; those without pictures come last."""
    return sorted(
        metrics.per_class, key=lambda one: (one.pictures == 0, one.f1 or 0.0, one.label.index)
    )


def _share(value: float | None) -> str:
    return NOTHING if value is None else percent(value)
