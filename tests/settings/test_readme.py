"""The README shows all settings, as the schema has them."""

from pathlib import Path

from ci.settings_table import tables

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_the_tables_of_the_schema() -> None:
    assert tables() in README.read_text(), "put what `python -m ci.settings_table` prints into README.md"
