"""Write the table of figures in docs/benchmarks.md from what benchmarks/results holds.

python benchmarks/summary.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness

from mejiro_runtime.fields import read_json
from mejiro_runtime.files import replacing

PAGE = harness.ROOT / "docs" / "benchmarks.md"
BENCHMARKS = (
    "overhead",
    "startup",
    "pipeline",
    "live_page",
    "live_stream",
    "cameras",
    "convert",
    "training",
    "pruning",
    "narrow",
    "magnitude",
    "repair",
    "qat",
    "arm_instructions",
    "deploy_kill",
    "browser",
    "apk",
)
BEGIN, END = "<!-- figures: written by benchmarks/summary.py -->", "<!-- end of figures -->"


def rows(name: str, result: dict[str, Any]) -> Iterator[str]:
    """Give one row of the table for each ratio of a result."""
    for what, ratio in result["ratios"].items():
        low, high = ratio["interval_95"]
        limit = ""
        if ratio["limit"] is not None:
            sign = "at most" if ratio["lower_is_better"] else "at least"
            limit = f"{sign} {ratio['limit']:g}{'' if ratio['reached'] else ', **missed**'}"
        yield f"| {name} | {what} | {ratio['median']:.3f} | {low:.3f} to {high:.3f} | {limit} |"


def table(folder: Path) -> str:
    """Return the table, and beside it where and with what the figures were measured."""
    lines = ["| benchmark | ratio | median | 95% interval | wanted |", "|---|---|---|---|---|"]
    told = []
    for name in BENCHMARKS:
        path = folder / f"{name}.json"
        if not path.is_file():
            told.append(f"- {name}: not measured yet")
            continue
        result = read_json(path)
        lines += rows(name, result)
        machine = result["machine"]
        told.append(
            f"- {name}: {result['date']}, {machine['cpu']}, {machine['cpus_usable']} CPUs, "
            f"{machine['memory_gib']} GiB, {machine['distribution']}, Python {machine['python']}"
        )
        told += [f"  - {note}" for note in result["notes"]]
    return "\n".join([*lines, "", *told])


def with_table(page: str, folder: Path) -> str:
    """Return the page with its table written anew."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE} has lost the line '{BEGIN}' or '{END}'; put them back")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{table(folder)}\n\n{END}", page)


def main() -> None:
    page = with_table(PAGE.read_text(encoding="utf-8"), harness.RESULTS)
    with replacing(PAGE) as beside:
        beside.write_text(page, encoding="utf-8")
    print(table(harness.RESULTS))


if __name__ == "__main__":
    main()
