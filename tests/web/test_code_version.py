"""The version of the code, which is part of the keys of the response cache."""

from pathlib import Path

from campaign.web.response_cache import source_files


def test_version_of_the_code_ignores_files_that_other_programs_write_beside_it(tmp_path: Path) -> None:
    """Processes that started together wrote bytecode while others computed the version, which then had no such file."""
    (tmp_path / "web/__pycache__").mkdir(parents=True)
    for name in ("web/pages.py", "base.html"):
        (tmp_path / name).touch()
    for name in ("web/__pycache__/pages.cpython-311.pyc", "web/__pycache__/pages.cpython-311.pyc.140676286757552"):
        (tmp_path / name).touch()
    (tmp_path / ".base.html.swp").touch()
    (tmp_path / "web/.#pages.py").symlink_to("ada@desk.1234")
    assert source_files(tmp_path) == [tmp_path / "base.html", tmp_path / "web/pages.py"]
