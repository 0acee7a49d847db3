"""Write what each epoch brought: as CSV, and as events for TensorBoard."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.tensorflow import load_tensorflow
from mejiro_runtime.files import replacing


@dataclass(frozen=True)
class EpochRecord:
    """Hold what one epoch brought; `epoch` counts from 1 through all phases.

    `rate` is that of its last step, `seconds` the time it took with its validation, and `ended`
    when it ended, in seconds since 1970. Losses are means of a picture, accuracies shares.
    """

    phase: str
    epoch: int
    seconds: float
    rate: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    ended: float = 0.0


COLUMNS = tuple(field.name for field in dataclasses.fields(EpochRecord) if field.name != "ended")
_SCALARS = ("rate", "loss", "accuracy", "val_loss", "val_accuracy")


def write_history(path: Path, history: Sequence[EpochRecord]) -> None:
    """Write one line for each epoch, whole or not at all."""
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(COLUMNS)
        for record in history:
            rows.writerow([getattr(record, name) for name in COLUMNS])


def write_events(folder: Path, history: Sequence[EpochRecord]) -> None:
    """Write the history as TensorBoard reads it, to one file in `folder`.

    The file of a longer history begins with that of a shorter one, so TensorBoard may follow it.
    """
    if not history:
        return
    tf = load_tensorflow()
    event = tf.compat.v1.Event
    start = int(history[0].ended)
    path = folder / f"events.out.tfevents.{start}.mejiro"
    with replacing(path) as beside, tf.io.TFRecordWriter(str(beside)) as writer:
        first = event(wall_time=history[0].ended, file_version="brain.Event:2")
        writer.write(first.SerializeToString())
        for record in history:
            writer.write(_event(tf, record).SerializeToString())


def _event(tf: Any, record: EpochRecord) -> Any:
    value = tf.compat.v1.Summary.Value
    summary = tf.compat.v1.Summary(
        value=[value(tag=name, simple_value=getattr(record, name)) for name in _SCALARS]
    )
    return tf.compat.v1.Event(wall_time=record.ended, step=record.epoch, summary=summary)
