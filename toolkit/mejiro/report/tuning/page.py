"""Assemble the page of a search."""

from __future__ import annotations

from mejiro import __version__
from mejiro.report.elements import Fact
from mejiro.report.html import Page, render_page
from mejiro.report.numbers import duration, percent
from mejiro.report.tuning.figures import plot_courses, plot_history, plot_settings
from mejiro.report.tuning.findings import Findings
from mejiro.report.tuning.tables import best_first, trial_table
from mejiro.report.tuning.words import aim_rows, caution, lead_words, range_rows
from mejiro.tune.records import State

# More trials than these are listed below a fold.
_LISTED_TRIALS = 30


def tuning_page(findings: Findings) -> str:
    """Return the HTML of a search's report."""
    record, judged = findings.record, findings.judged
    ordered = best_first(record.trials)
    return render_page(
        "tuning.html",
        package="mejiro.report.tuning",
        page=Page(
            title=f"{record.model} on {record.data}",
            kind="tuning report",
            footer=f"Written by mejiro {__version__}. The same figures for programs: trials.json.",
        ),
        content={
            "lead": lead_words(findings),
            "facts": _facts(findings),
            "command": findings.command,
            "run": findings.run,
            "caution": caution(findings),
            "history": plot_history(findings) if judged else None,
            "settings": plot_settings(findings) if judged and findings.searched else None,
            "courses": plot_courses(findings) if judged else None,
            "trials": trial_table(findings, ordered[:_LISTED_TRIALS]) if ordered else None,
            "rest": trial_table(findings, ordered[_LISTED_TRIALS:])
            if len(ordered) > _LISTED_TRIALS
            else None,
            "rest_count": len(ordered) - _LISTED_TRIALS,
            "space": range_rows(record.space),
            "aim": aim_rows(record.aim),
        },
    )


def _facts(findings: Findings) -> list[Fact]:
    record, best = findings.record, findings.record.best
    facts = []
    if best is not None and best.accuracy is not None:
        note = f"trial {best.number}, of {findings.val_pictures} pictures"
        facts.append(Fact(percent(best.accuracy), "%", "best validation accuracy", note))
    pruned, failed = findings.count(State.PRUNED), findings.count(State.FAILED)
    running = findings.count(State.RUNNING)
    parts = [
        f"{count} {word}"
        for count, word in ((pruned, "pruned"), (failed, "failed"), (running, "running"))
        if count
    ]
    note = ", ".join(parts) or "none of them pruned"
    facts.append(Fact(str(len(record.finished)), "", "trials finished", note))
    seconds = [trial.seconds for trial in record.trials if trial.seconds is not None]
    if seconds:
        hosts = {trial.host for trial in record.trials if trial.host}
        where = f"on {len(hosts)} machines" if len(hosts) > 1 else "summed up"
        facts.append(Fact(duration(sum(seconds)), "", "time of all trials", where))
    return facts
