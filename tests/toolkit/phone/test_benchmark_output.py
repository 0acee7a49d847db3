"""What benchmark_model prints is read, of old versions and new, and anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import PhoneError
from mejiro.phone.benchmark_output import Delegate, parse_benchmark, unknown_flags
from tests.phone.benchmark_model import GPU, LITERT, NEW, OLD


def test_a_new_version_tells_percentiles() -> None:
    found = parse_benchmark(NEW)
    assert (found.count, found.warmup_count) == (120, 9)
    assert (found.init_ns, found.first_ns) == (119_515_000, 87_112_000)
    assert found.mean_ns == 8_410_500
    assert (found.p50_ns, found.p95_ns) == (8_391_000, 9_627_000)
    assert (found.min_ns, found.max_ns, found.std_ns) == (8_088_000, 10_105_000, 716_000)
    assert found.peak_memory_bytes == round(93.2383 * (1 << 20))
    assert found.memory_growth_bytes == round(55.4961 * (1 << 20))
    assert found.delegates == (Delegate("XNNPack", 58, 60),)
    assert set(found.infer()) == {
        "count", "mean_ns", "std_ns", "min_ns", "p50_ns", "p95_ns", "max_ns"
    }  # fmt: skip


def test_an_old_version_tells_less() -> None:
    found = parse_benchmark(OLD)
    assert (found.count, found.mean_ns, found.std_ns) == (50, 266_473_000, 419_000)
    assert found.p50_ns is found.p95_ns is found.peak_memory_bytes is None
    assert found.delegates == ()
    assert "p50_ns" not in found.infer()


def test_litert_has_a_summary_of_its_own() -> None:
    found = parse_benchmark(LITERT)
    assert (found.count, found.warmup_count) == (121, 60)
    assert (found.init_ns, found.first_ns) == (35_750_000, 12_014_000)
    assert found.mean_ns == 8_310_250
    assert (found.p50_ns, found.p95_ns) == (8_291_000, 8_627_000)
    assert found.peak_memory_bytes == round(21.5 * (1 << 20))
    assert found.memory_growth_bytes == round(7.25 * (1 << 20))
    assert found.delegates[0].whole
    assert unknown_flags(LITERT) == {"use_xnnpack"}
    assert unknown_flags(NEW) == set()


def test_a_large_number_is_written_with_an_exponent() -> None:
    found = parse_benchmark(OLD.replace("avg=266473", "avg=1.05326e+06"))
    assert found.mean_ns == 1_053_260_000


def test_equal_times_are_told_once() -> None:
    found = parse_benchmark(
        "INFO: count=1 curr=500\n"
        "INFO: count=3 curr=400(all same)\n"
        "INFO: Inference timings in us: Init: 10, First inference: 500, Warmup (avg): 500, "
        "Inference (avg): 400\n"
    )
    assert (found.min_ns, found.p50_ns, found.max_ns) == (400_000, 400_000, 400_000)


def test_what_the_gpu_took_is_told() -> None:
    found = parse_benchmark(GPU)
    assert found.delegates == (Delegate("Gpu", 58, 58),)
    assert found.delegates[0].whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it printed nothing"),
        ("ERROR: Failed to load model /x.tflite\nlast", "told no times: Failed to load model"),
        ("only\x1b[31m a line", "told no times: only .31m a line"),
        (NEW.replace("count=120", "count=0"), "told no times"),
        (OLD.replace("avg=266473", "avg=1e300"), "out of reach"),
        (OLD.replace("avg=266473", "avg=1.2.3"), "for a number"),
    ],
)
def test_what_tells_no_times_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(PhoneError, match=said) as told:
        parse_benchmark(text)
    assert str(told.value).isprintable()


def read(text: str) -> bool:
    """Say whether it can be read; what cannot be is refused in one line."""
    try:
        found = parse_benchmark(text)
    except PhoneError as error:
        return not str(error).isprintable()
    return found.count > 0 and all(0 <= value < 1 << 63 for value in found.infer().values())


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    assert not read(text)


@given(st.data())
def test_any_change_of_the_text_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([NEW, OLD, GPU, LITERT]))
    at = data.draw(st.integers(0, len(text)))
    until = data.draw(st.integers(at, min(len(text), at + 60)))
    put = data.draw(st.text(max_size=12) | st.sampled_from(["9" * 400, "1e308", "count=7 avg=1"]))
    assert read(text[:at] + put + text[until:]) in (True, False)


@given(
    count=st.integers(2, 10_000),
    times=st.lists(st.integers(1, 10**8), min_size=4, max_size=4),
    prefix=st.sampled_from(["", "INFO: ", "I tflite  : "]),
)
def test_times_come_back_as_they_were_printed(count: int, times: list[int], prefix: str) -> None:
    init, first, warm, mean = times
    found = parse_benchmark(
        f"{prefix}count=1 curr={first}\n"
        f"{prefix}count={count} first={first} curr={mean} min={mean} max={mean + 9} avg={mean} "
        f"std=3 p5={mean} median={mean} p95={mean + 4}\n"
        f"{prefix}Inference timings in us: Init: {init}, First inference: {first}, "
        f"Warmup (avg): {warm}, Inference (avg): {mean}\n"
    )
    assert (found.count, found.init_ns, found.mean_ns) == (count, init * 1000, mean * 1000)
    assert (found.max_ns, found.p95_ns) == ((mean + 9) * 1000, (mean + 4) * 1000)
