"""Write measured numbers for people: with as many digits as one can trust, and no more."""

from __future__ import annotations

# What stands where there is no number: nothing was measured, or it has no meaning.
NOTHING = "–"


def milliseconds(duration_ns: float) -> str:
    """Return nanoseconds as milliseconds: three digits that count."""
    value = duration_ns / 1e6
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def seconds(duration_ns: float) -> str:
    """Return nanoseconds as seconds, to a tenth."""
    return f"{duration_ns / 1e9:.1f}"


def megabytes(size_bytes: float) -> str:
    """Return bytes as millions of bytes: three digits that count."""
    value = size_bytes / 1e6
    if value < 0.9995:
        return f"{value:.3g}"
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def percent(share: float) -> str:
    """Return a share (0..1) in percent, to a tenth."""
    return f"{100 * share:.1f}"


def ratio(value: float) -> str:
    """Return a ratio to a hundredth."""
    return f"{value:.2f}"


def duration(value_s: float) -> str:
    """Return seconds as people say them: 8.4 s, 2 min 31 s, 1 h 4 min."""
    if value_s < 59.95:
        return f"{value_s:.1f} s"
    whole = round(value_s)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(value_s / 60)
    return f"{minutes // 60} h {minutes % 60} min"
