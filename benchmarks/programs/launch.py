"""Start programs and tell what each cost; one JSON command a line in, one JSON object a line out.

A process of its own, and a small one: what the kernel reports as a child's peak memory is at least
what the parent held when it started the child.
"""

import json
import os
import sys
import time


def launch(command: list[str]) -> dict[str, object]:
    """Run `command`; tell its first line, and its cost until that line and until its end."""
    reader, writer = os.pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, writer, 1),
        (os.POSIX_SPAWN_CLOSE, reader),
    ]
    begin = time.perf_counter_ns()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    os.close(writer)
    with os.fdopen(reader, "rb") as output:
        line = output.readline()
        labelled = time.perf_counter_ns()
        output.read()
    _, status, usage = os.wait4(child, 0)  # the one call that tells what this one child used
    ended = time.perf_counter_ns()
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "code": os.waitstatus_to_exitcode(status),
        "line": line.decode("utf-8", "replace").strip(),
        "first_label_ms": (labelled - begin) / 1e6,
        "end_ms": (ended - begin) / 1e6,
        "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1e3,
        "peak_memory_mb": usage.ru_maxrss * unit / 1e6,
    }


if __name__ == "__main__":
    for request in sys.stdin:
        print(json.dumps(launch(json.loads(request))), flush=True)
