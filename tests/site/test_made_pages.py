"""Pages made of records and sources: what stands in them, and that nothing public is left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mixwright
from site_pages.record_pages import write_record_pages
from site_pages.reference import public_definitions, write_reference

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def test_every_public_name_is_in_the_reference(tmp_path: Path) -> None:
    made = write_reference(tmp_path)
    text = "\n".join((tmp_path / page).read_text() for page in made)
    found = re.findall(r"^::: mixwright\.(\w+)$", text, re.M)
    assert sorted(found) == sorted(set(mixwright.__all__) - {"adapters"})
    index = (tmp_path / "reference" / "index.md").read_text()
    for name in found:
        assert f"#mixwright.{name})" in index


def test_what_a_module_defines_is_public_unless_it_says_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("from x import Y\n\nclass A: ...\nclass _B: ...\ndef c(): ...\n")
    assert public_definitions(file) == ["A", "c"]
    file.write_text("__all__ = ['c']\nclass A: ...\ndef c(): ...\n")
    assert public_definitions(file) == ["c"]


def test_every_record_is_a_page_with_its_numbers_and_figures(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    made = write_record_pages(tmp_path)
    folders = sorted(file.parent.name for file in RESULTS.glob("*/*.json"))
    assert made == [f"records/{name}.md" for name in dict.fromkeys(folders) if name != "bench"] + [
        "records/bench.md"
    ]
    for page in made:
        text = (tmp_path / page).read_text()
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            file = tmp_path / "records" / link
            assert file.is_file() or link == "index.md", f"{page}: {link}"
        slug = Path(page).stem
        drawn = {Path(link).name for link in re.findall(r"!\[.*?\]\((.+?\.png)\)", text)}
        assert drawn == {file.name for file in (RESULTS / slug).glob("figures/*.png")}


def test_the_page_of_a_record_says_what_the_record_says(tmp_path: Path) -> None:
    """The table of benchmarks/results/README.md, which was copied from the report."""
    (tmp_path / "records").mkdir()
    write_record_pages(tmp_path)
    text = (tmp_path / "records" / "digits.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| FMix |"))
    assert "| 93.0 ± 0.6 | **+1.9 ± 1.5** | 0.009 |" in row
    command = json.loads((RESULTS / "digits" / "comparison.json").read_text())["about"]["command"]
    assert f"```bash\n{command}\n```" in text
    speed = (tmp_path / "records" / "bench.md").read_text()
    assert re.search(r"^\| `puzzlemix` \| [\d.]+ \| 1\.53 \| 1\.67 \|$", speed, re.M)
