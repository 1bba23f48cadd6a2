"""MkDocs' hooks of the site: they add the pages that other files of the repository make, and no file is written.

Pages of ``docs/`` are written for a code host: their links lead to files of the repository. Here they lead to pages of
the site. What is added: a page for each measure, the papers, the examples, CONTRIBUTING, CHANGELOG, the results of the
benchmarks, and whatever else a page links to. PyTorch is not imported.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import class_pages
import measure_pages
import paper_page
import site_links
import source_pages
from mkdocs.structure.files import File, InclusionLevel
from sensitivity_map import read_map
from site_links import DOCS, PAGES, PICTURES, REPOSITORY, home_of, led_on_site, linked_from, place_of

from streaming_metrics.measures.facts import facts_of_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

FENCE_NAMED = re.compile(r"^(```\w+)(?: \w+)+$", re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")
CELL = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
LONG_CODE = re.compile(r"<code>[^<]{25,}</code>")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the measures into the navigation, under the page of all of them."""
    (found,) = (items for part in config.nav or [] for name, items in part.items() if name == "Measures")
    found += measure_pages.nav()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and the files that pages link to."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(REPOSITORY / path)))
    linked = {path for uri in [*files.src_uris] for path in _linked_from(uri)}
    for path in sorted(path for path in linked if path.endswith(PICTURES) and not path.startswith(DOCS)):
        files.append(File.generated(config, path, abs_src_path=str(REPOSITORY / path)))
    for uri, text in _made().items():
        files.append(File.generated(config, uri, content=text))
    shown = {path for path in {*linked, *source_pages.examples()} if place_of(path) == f"{path}.md"}
    for path in sorted(shown):
        text = source_pages.page(path)
        files.append(File.generated(config, f"{path}.md", content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn a page as a code host reads it into one as MkDocs does: its links, its fences' names, bars in its code."""
    uri = page.file.src_uri
    if (home := home_of(uri)) is None:
        return markdown
    markdown = led_on_site(FENCE_NAMED.sub(r"\1", markdown), home, uri)
    markdown = site_links.in_prose(markdown, lambda prose: CODE.sub(lambda code: code[0].replace(r"\|", "|"), prose))
    if uri == "measures.md":
        return measure_pages.table(markdown)
    return site_links.in_prose(markdown, lambda prose: measure_pages.named(measure_pages.led_to_pages(prose), uri))


def on_page_content(html: str, **_: Any) -> str:
    """Let long code in tables break between its parts, so that a table of paths is no wider than the page."""
    return CELL.sub(lambda cell: LONG_CODE.sub(lambda code: broken(code[0]), cell[0]), html)


def broken(code: str) -> str:
    """Return an element of code that a browser may break after what divides names; what is copied stays as it is.

    Example:
        >>> broken("<code>tests/test_site.py</code>")
        '<code>tests/<wbr>test_<wbr>site.py</code>'
    """
    text = code.removeprefix("<code>").removesuffix("</code>")
    return f"<code>{re.sub(r'(?<=[/_,])(?=[^/_,])', '<wbr>', text)}</code>"


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Say in which language a page of ``docs/ko/`` is."""
    return output.replace('<html lang="en"', '<html lang="ko"', 1) if page.file.src_uri.startswith("ko/") else output


def _linked_from(uri: str) -> Iterator[str]:
    """Yield the files of the repository that a page of the site links to."""
    home = home_of(uri)
    if uri.endswith(".md") and home:
        yield from linked_from((REPOSITORY / home).read_text(encoding="utf-8"), home)


def _made() -> dict[str, str]:
    """Return the pages that are made of other files, by where on the site they are."""
    links = {measure_pages.class_name(facts): measure_pages.uri_of(facts) for facts in facts_of_all()}
    return {
        **measure_pages.pages(read_map()),
        "examples/index.md": source_pages.examples_page(),
        "arguments.md": class_pages.page(),
        "papers.md": paper_page.page(links),
    }
