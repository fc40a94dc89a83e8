"""The generated pages are what the code would write today, and both languages have the same pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penjing.cli import reference
from penjing.cli.model import SECTIONS
from penjing.language import LANGUAGES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("language", LANGUAGES)
def test_generated_pages_are_up_to_date(language: str) -> None:
    for name, content in reference.pages(language).items():
        assert (DOCS / language / name).read_text(encoding="utf-8") == content, "run: make docs"


def test_the_settings_page_knows_every_section() -> None:
    assert set(reference.kinds()) == {*SECTIONS, *reference.policies()}


def test_both_languages_have_the_same_pages() -> None:
    assert {page.name for page in (DOCS / "en").glob("*.md")} == {page.name for page in (DOCS / "zh").glob("*.md")}


@pytest.mark.parametrize("page", [*DOCS.rglob("*.md"), *ROOT.glob("README*.md")], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
