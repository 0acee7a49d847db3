"""Check that a child process runs what this one would, wherever it starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mejiro.child import child_command


def test_a_child_imports_what_this_process_does_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "a_task.py").write_text(
        "import json, sys\ndef main():\n    print(json.dumps(sys.argv[1:]))\n    return 7\n"
    )
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "json.py").write_text("raise SystemExit('a stranger was imported')")
    monkeypatch.syspath_prepend(library)
    done = subprocess.run(
        child_command("a_task", "one", "two words"),
        cwd=stranger,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, '["one", "two words"]\n', "")
