"""Report a search for settings: how it went, what each setting did, and every trial."""

from __future__ import annotations

from pathlib import Path

from mejiro.report.html import write_page
from mejiro.report.tuning.findings import Findings
from mejiro.report.tuning.page import tuning_page

PAGE_NAME = "report.html"

__all__ = ["PAGE_NAME", "Findings", "write_tuning_report"]


def write_tuning_report(folder: Path, findings: Findings) -> Path:
    """Write `report.html` into a study's folder; return its path."""
    write_page(folder / PAGE_NAME, tuning_page(findings))
    return folder / PAGE_NAME
