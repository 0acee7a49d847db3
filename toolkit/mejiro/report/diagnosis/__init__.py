"""Report what quantization costs a network, layer by layer."""

from __future__ import annotations

from pathlib import Path

from mejiro.report.diagnosis.findings import Diagnosis
from mejiro.report.diagnosis.page import diagnosis_page
from mejiro.report.html import write_page

PAGE_NAME = "diagnosis.html"

__all__ = ["PAGE_NAME", "Diagnosis", "write_diagnosis"]


def write_diagnosis(folder: Path, diagnosis: Diagnosis) -> Path:
    """Write `diagnosis.html` into `folder`, which is made if it is absent; return its path."""
    page = diagnosis_page(diagnosis)
    folder.mkdir(parents=True, exist_ok=True)
    write_page(folder / PAGE_NAME, page)
    return folder / PAGE_NAME
