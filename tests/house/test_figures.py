"""No figure without an example among those whose sentence, colours and sizes are tested."""

from __future__ import annotations

import re
from pathlib import Path

NO_FIGURE_OF_ITS_OWN = {"enlarged"}  # the large form of another
PUBLIC = re.compile(r"^def ([a-z]\w*)\((?:[^)]|\)(?! -> ))*\) -> Figure:", re.MULTILINE)


def test_every_figure_has_an_example_in_the_test_of_all_figures(root: Path) -> None:
    modules = sorted((root / "notebooks/labkit/figures").glob("*.py"))
    found = {name for module in modules for name in PUBLIC.findall(module.read_text(encoding="utf-8"))}
    assert {"rate_figure", "space_time", "arrival_figure", "enlarged"} <= found  # the search finds them
    tested = (root / "tests/labkit/figures/test_every_figure.py").read_text(encoding="utf-8")
    names = re.findall(r'"(\w+)"', tested.partition("OVER_TIME = ")[2].partition("\n")[0])
    over_time = {f"{name}_figure" for name in names}
    examples = set(re.findall(r"\b(\w+)\(", tested))
    assert found - examples - over_time - NO_FIGURE_OF_ITS_OWN == set()
