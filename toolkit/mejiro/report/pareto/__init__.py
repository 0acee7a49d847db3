"""Draw files against each other: accuracy against latency, size and multiply-adds."""

from __future__ import annotations

from mejiro.report.pareto.page import pareto_page
from mejiro.report.pareto.points import Comparison, Point

__all__ = ["Comparison", "Point", "pareto_page"]
