"""Hold what benchmark_model prints, shaped as several of its versions do; the numbers are made up.

And a program that prints it, for the shell of a stand-in phone.
"""

from __future__ import annotations

from pathlib import Path

NEW = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Min num runs: [120]
INFO: Graph: [/data/local/tmp/model.tflite]
INFO: Loaded model /data/local/tmp/model.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 58 out of 60 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 \
partitions for subgraph 0.
INFO: The input model file size (MB): 24.6229
INFO: Initialized session in 119.515ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if \
exceeding 150 seconds.
INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 p5=51629 \
median=51962 p95=87112

INFO: Running benchmark for at least 120 iterations and at least 1 seconds but terminate if \
exceeding 150 seconds.
INFO: count=120 first=8462 curr=8485 min=8088 max=10105 avg=8410.5 std=716 p5=8120 median=8391 \
p95=9627

INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, \
Inference (avg): 8410.5
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only \
APPROXIMATE to the actual memory footprint of the model at runtime.
INFO: Memory footprint delta from the start of the tool (MB): init=55.4961 overall=55.4961
INFO: Overall peak memory footprint (MB) via periodic monitoring: 93.2383
"""
OLD = """STARTING!
Num threads: [1]
Loaded model /data/local/tmp/model.tflite
Initialized session in 20.283ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds.
count=2 first=339304 curr=266325 min=266325 max=339304 avg=302814 std=36489
Running benchmark for at least 50 iterations and at least 1 seconds.
count=50 first=266601 curr=266931 min=265837 max=268116 avg=266473 std=419
Inference timings in us: Init: 20283, First inference: 339304, Warmup (avg): 302814, \
Inference (avg): 266473
"""
GPU = NEW.replace(
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n",
    "INFO: Created TensorFlow Lite delegate for GPU.\n",
).replace(
    "58 out of 60 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 2 partitions",
    "58 out of 58 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions",
).replace(
    "INFO: The input model",
    "INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the "
    "delegate.\nINFO: The input model",
)  # fmt: skip


LITERT = """INFO: STARTING!
WARN: Unconsumed cmdline flags: --use_xnnpack=true
INFO: Num threads: [4]
INFO: [benchmark_litert_model.cc:122] Loading model from: /data/local/tmp/model.tflite
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
VERBOSE: Replacing 58 out of 58 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 \
partitions for subgraph 0.
INFO: The input model file size (MB): 5.42
INFO: Initialized session in 35.75ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if \
exceeding 150 seconds.
INFO: count=60 first=12014 curr=8271 min=8102 max=12014 avg=8399.7 std=610 p5=8120 median=8290 \
p95=9001

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if \
exceeding 150 seconds.
INFO: count=121 first=8262 curr=8285 min=8088 max=9105 avg=8310.25 std=116 p5=8120 median=8291 \
p95=8627

INFO: [benchmark_litert_model.h:92] \n========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:93] Model initialization: 35.75 ms
INFO: [benchmark_litert_model.h:95] Warmup (first):       12.01 ms
INFO: [benchmark_litert_model.h:97] Warmup (avg):         8.40 ms (60 runs)
INFO: [benchmark_litert_model.h:99] Inference (avg):      8.31 ms (121 runs)
INFO: [benchmark_litert_model.h:103] Inference (min):      8.09 ms
INFO: [benchmark_litert_model.h:105] Inference (max):      9.11 ms
INFO: [benchmark_litert_model.h:107] Inference (std):      0.12
INFO: [benchmark_litert_model.h:127] Init footprint:       6.50 MB
INFO: [benchmark_litert_model.h:129] Overall footprint:    7.25 MB
INFO: [benchmark_litert_model.h:134] Peak memory:          21.50 MB
"""


def write_program(path: Path, prints: str = NEW, *, code: int = 0) -> Path:
    """Write a program that checks its flags as benchmark_model does, and prints `prints`."""
    path.write_text(
        "#!/bin/sh\n"
        'for word in "$@"; do case "$word" in --graph=*) graph="${word#--graph=}";; esac; done\n'
        'test -s "$graph" || { echo "ERROR: Failed to load model $graph" >&2; exit 1; }\n'
        'echo "$@" > "$(dirname "$0")/../flags"\n'
        f"cat <<'END'\n{prints}END\nexit {code}\n"
    )
    return path
