"""Check that a demonstration touches nothing but its own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mejiro.demo.folder import MARK, demo_folder
from mejiro.errors import UsageError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fill(folder: Path) -> None:
    """Run a demonstration that leaves one file in each of its places."""
    with demo_folder(folder) as demo:
        for path in demo.own():
            if path.suffix:
                path.write_text("old")
            else:
                (path / "inner").mkdir(parents=True)
                (path / "inner" / "file").write_text("old")


def test_a_new_folder_is_made_and_marked(tmp_path: Path) -> None:
    with demo_folder(tmp_path / "a" / "demo"):
        assert names(tmp_path / "a" / "demo") == {MARK}
    assert "mejiro demo" in (tmp_path / "a" / "demo" / MARK).read_text()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    with demo_folder(tmp_path) as demo:
        assert demo.path == tmp_path


def test_an_earlier_demonstration_is_replaced_and_foreign_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    fill(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / ".bundle").write_text("mine, too")
    mark = (folder / MARK).read_text()
    with demo_folder(folder):
        assert names(folder) == {MARK, "notes.txt", ".bundle"}
    assert (folder / MARK).read_text() == mark


def test_what_a_killed_demonstration_left_is_removed(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / ".bundle.x1y2z3").mkdir()
    (tmp_path / ".report.html.x1y2z3").write_text("half")
    (tmp_path / ".video.avi.x1.avi").write_text("half")
    with demo_folder(tmp_path):
        assert names(tmp_path) == {MARK}


def test_a_link_is_removed_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    folder = tmp_path / "demo"
    fill(folder)
    (folder / "summary.jpg").unlink()
    (folder / "summary.jpg").symlink_to(precious)
    with demo_folder(folder):
        assert names(folder) == {MARK}
    assert (precious / "file").read_text() == "mine"


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with (
        pytest.raises(UsageError, match="not a demo's, so nothing is written"),
        demo_folder(tmp_path),
    ):
        pass
    assert names(tmp_path) == {"report.html"}
    assert (tmp_path / "report.html").read_text() == "mine"


def test_a_mark_that_is_a_link_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / MARK).symlink_to(tmp_path / "file")
    with pytest.raises(UsageError, match="not a demo's"), demo_folder(folder):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "demo"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is a file; name a folder"), demo_folder(path):
        pass


def test_two_demonstrations_do_not_share_a_folder(tmp_path: Path) -> None:
    with demo_folder(tmp_path) as demo:
        demo.page.write_text("in the making")
        with pytest.raises(UsageError, match="a demo is running in"), demo_folder(tmp_path):
            pass
        assert demo.page.read_text() == "in the making"
    with demo_folder(tmp_path):
        pass
