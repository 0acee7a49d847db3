"""Show how fine-tuning goes, for all commands that fine-tune."""

from __future__ import annotations

from mejiro.cli.console import Reporter
from mejiro.train.events import Events, StepReport
from mejiro.train.history import EpochRecord


def finetuning_events(shown: Reporter) -> Events:
    """Return what shows the loss and accuracy of each step and the validation of each epoch."""

    def step(report: StepReport) -> None:
        shown.describe(
            f"{report.phase} {report.epoch}/{report.epochs}: loss {report.loss:.3f}, accuracy "
            f"{100 * report.accuracy:.1f}%"
        )

    def epoch(record: EpochRecord) -> None:
        shown.note(
            f"epoch {record.epoch}: {100 * record.val_accuracy:.1f}% of the validation pictures"
        )

    return Events(
        stage=shown.stage, progress=shown.advance, step=step, epoch=epoch, note=shown.note
    )
