"""The page in a real browser, opened from a file and without a network; and the Markdown as GitHub would read it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from derive.mathematics.derivation import Derivation
from derive.output.command_line import main


@pytest.fixture(scope="module")
def folder(derived_linear) -> Path:
    return derived_linear


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory) -> Path:
    """The same with twelve steps written out: most of them give way to dots."""
    out = tmp_path_factory.mktemp("long") / "generated"
    assert main(["linear", "--steps", "12", "--out", str(out)]) == 0
    return out / "linear"


@pytest.fixture(scope="module")
def browser(require_tool) -> Iterator[Browser]:
    path = require_tool("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


class Opened(NamedTuple):
    """A page after MathJax is done, and what was heard of it on the way."""

    page: Page
    complaints: list[str]
    requests: list[str]


def opened(browser: Browser, folder: Path, width: int = 1280, **options) -> Opened:
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.set_default_timeout(0)  # on a busy machine anything may take long
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((folder / "derivation.html").as_uri())
    if options.get("java_script_enabled", True):
        page.evaluate("MathJax.startup.promise")
    return Opened(page, complaints, requests)


@pytest.fixture(scope="module")
def wide(browser, folder) -> Opened:
    return opened(browser, folder)


@pytest.fixture(scope="module")
def long(browser, long_folder) -> Opened:
    return opened(browser, long_folder)


@pytest.fixture(params=["wide", "long"])
def either(request) -> Opened:
    return request.getfixturevalue(request.param)


# --- in the browser ---------------------------------------------------------------------------------------------------


def test_nothing_goes_wrong(either):
    assert either.complaints == []


def test_no_network_is_needed(either):
    assert [url for url in either.requests if not url.startswith("file:")] == []
    assert len(either.requests) > 1  # MathJax itself, and the figures


def test_mathjax_understands_all_of_it(either):
    errors = either.page.locator('[data-mml-node="merror"], mjx-merror')
    assert errors.all_text_contents() == []


def test_every_visible_equation_is_typeset(wide, linear: Derivation):
    shown = [equation.number for section in linear.sections for equation in section.shown_equations]
    numbers = wide.page.locator(".number").all_inner_texts()
    assert numbers == [f"({number})" for number in shown]
    assert wide.page.locator('mjx-container[display="true"]').count() == len(shown)


def test_no_latex_is_left_untypeset(either):
    assert re.findall(r"\\[a-zA-Z(\[]+|\$", either.page.locator("body").inner_text()) == []


def test_ids_are_unique(either):
    ids = either.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert [name for name, count in Counter(ids).items() if count > 1] == []


def test_every_link_within_the_page_has_its_target(either):
    dead = """[...document.querySelectorAll('a[href^="#"]')].map(a => a.getAttribute('href').slice(1))
              .filter(name => !document.getElementById(name))"""
    assert either.page.evaluate(dead) == []


def test_every_file_that_the_page_names_is_there(wide, folder):
    names = wide.page.evaluate(
        """[...document.querySelectorAll('[href]:not([href^="#"]), [src]')]
           .map(e => e.getAttribute('href') || e.getAttribute('src'))"""
    )
    assert [name for name in names if not (folder / name).is_file()] == []


def test_the_contents_list_links_to_every_section_in_order(either):
    page = either.page
    targets = page.evaluate("[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))")
    assert targets == page.evaluate("[...document.querySelectorAll('h2')].map(h => '#' + h.id)")
    *names, last = page.locator("nav ol > li > a").all_inner_texts()
    numbered = [f"{number}. {name}" for number, name in enumerate(names, start=1)]
    assert page.locator("h2").all_inner_texts() == [*numbered, last]
    assert last == "References"


def test_every_figure_is_drawn_and_described(wide):
    figures = wide.page.evaluate(
        "[...document.images].map(image => [image.complete && image.naturalWidth > 0, image.alt.length > 10])"
    )
    assert figures == [[True, True]] * 3


def test_a_link_to_an_equation_marks_it(wide):
    page = wide.page
    paper = page.locator("#eq-2").evaluate("e => getComputedStyle(e).backgroundColor")
    page.locator('a[href="#eq-2"]').first.click()
    assert page.locator("#eq-2").evaluate("e => getComputedStyle(e).backgroundColor") != paper


def test_repeating_terms_have_their_colour_in_the_formulas(wide):
    colour = "e => getComputedStyle(e).color"
    (repeated,) = set(wide.page.locator("svg .repeated").evaluate_all("es => es.map(e => getComputedStyle(e).color)"))
    assert repeated == wide.page.locator("header .repeated").evaluate(colour)
    assert repeated != wide.page.locator("body").evaluate(colour)


@pytest.fixture(
    scope="module", params=[(f, w) for f in ("folder", "long_folder") for w in (320, 390, 768, 1280)], ids=str
)
def on_a_screen(browser, request) -> Iterator[Page]:
    """The page as it is on a screen of some width."""
    which, width = request.param
    page = opened(browser, request.getfixturevalue(which), width).page
    yield page
    page.close()


def test_the_page_never_scrolls_sideways(on_a_screen):
    assert on_a_screen.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_is_too_wide_scrolls_in_its_own_box(on_a_screen):
    cut_off = """[...document.querySelectorAll('mjx-container, pre, table, img')].filter(e => {
        for (let box = e; box; box = box.parentElement)
            if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) return false;
        return e.getBoundingClientRect().right > innerWidth;
    }).map(e => e.outerHTML.slice(0, 200))"""
    assert on_a_screen.evaluate(cut_off) == []


@pytest.fixture(scope="module")
def rows_folder(derived) -> Path:
    """A cell of rows, with long lines of code and many symbols."""
    return derived / "lstm"


@pytest.mark.parametrize("width", [390, 1280])
def test_no_code_is_cut_off(browser, rows_folder, width):
    page = opened(browser, rows_folder, width).page
    wide = "es => es.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
    assert page.locator("pre").evaluate_all(wide) == []
    page.close()


def test_on_a_phone_a_meaning_has_room(browser, rows_folder):
    page = opened(browser, rows_folder, 390).page
    table = page.locator(".scroll").first
    assert table.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert table.locator("th").last.evaluate("e => e.clientWidth / parseFloat(getComputedStyle(e).fontSize)") > 11
    page.close()


def test_every_box_that_scrolls_shows_that_there_is_more(browser, rows_folder):
    page = opened(browser, rows_folder, 390).page
    boxes = """[...document.querySelectorAll('body *')]
        .filter(e => e.scrollWidth > e.clientWidth && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
        .map(e => getComputedStyle(e).backgroundAttachment)"""
    attachments = page.evaluate(boxes)
    assert len(attachments) > 0
    assert all("local" in each for each in attachments)
    page.close()


CONTRASTS = """() => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const luminance = colour => {
        const [r, g, b] = numbers(colour).slice(0, 3).map(c => c / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paper = element => {
        for (let e = element; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if (numbers(colour)[3] !== 0) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const found = {};
    const words = [...document.querySelectorAll('body *')].filter(e =>
        e.closest('mjx-assistive-mml') === null && e.tagName !== 'SCRIPT' &&
        ([...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.matches('mjx-container, svg .repeated')));
    for (const e of words) {
        const colours = [getComputedStyle(e).color, paper(e)];
        const [light, dark] = colours.map(luminance).sort((a, b) => b - a);
        found[colours.join(' on ')] = (light + 0.05) / (dark + 0.05);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(wide, scheme):
    page = wide.page
    page.emulate_media(color_scheme=scheme)
    page.locator('a[href="#eq-26"]').first.click()  # an equation that was asked for has its own paper
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) >= 5
    assert {pair: ratio for pair, ratio in contrasts.items() if ratio < 4.5} == {}


@pytest.mark.parametrize(("scheme", "least", "most"), [("light", 230, 255), ("dark", 0, 40)])
def test_the_paper_is_as_light_or_dark_as_the_reader_asks(wide, scheme, least, most):
    wide.page.emulate_media(color_scheme=scheme)
    paper = wide.page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    assert all(least <= int(channel) <= most for channel in re.findall(r"\d+", paper)[:3])


def test_without_scripts_the_latex_is_readable(browser, folder):
    page = opened(browser, folder, java_script_enabled=False).page
    text = page.locator("body").inner_text()
    assert r"\[s_k = s_{k - 1} W_{\mathrm{rec}} + x_k W_x\]" in text
    assert text.count(r"\[") == text.count(r"\]") == page.locator(".formula").count()
    assert "delta[k] = delta[k + 1] * Wrec" in text
    page.close()


@pytest.mark.parametrize("width", [320, 1280])
def test_without_scripts_the_page_does_not_scroll_sideways_either(browser, folder, width):
    page = opened(browser, folder, width, java_script_enabled=False).page
    box = page.locator("main").bounding_box()
    page.mouse.wheel(400, 0)
    assert page.locator("main").bounding_box() == box
    assert box["x"] + box["width"] <= width
    page.close()


def test_the_page_says_its_language_and_title(wide):
    assert wide.page.locator("html").get_attribute("lang") == "en"
    assert wide.page.title() == "The linear network that counts ones: backpropagation through time"
    assert wide.page.locator("h1").all_inner_texts() == ["The linear network that counts ones"]


# --- the Markdown -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["folder", "long_folder"])
def markdown(request) -> str:
    return (request.getfixturevalue(request.param) / "derivation.md").read_text(encoding="utf-8")


def fences(markdown: str) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w+)\n(.*?)\n```$", markdown, re.DOTALL | re.MULTILINE)


def formulas(markdown: str) -> list[str]:
    """All LaTeX in it: in fences and within sentences."""
    prose = re.sub(r"^```.*?^```$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return [text for kind, text in fences(markdown) if kind == "math"] + re.findall(r"\$`(.*?)`\$", prose)


def test_every_fence_is_closed(markdown):
    lines = [line for line in markdown.splitlines() if line.startswith("```")]
    assert len(lines) % 2 == 0
    assert set(lines[::2]) == {"```math", "```python"}
    assert set(lines[1::2]) == {"```"}
    assert len(fences(markdown)) == len(lines) / 2


def test_every_fence_stands_alone(markdown):
    """GitHub shows a fence as text where it touches a paragraph."""
    assert re.findall(r"[^\n]\n```(?:math|python)$", markdown, re.MULTILINE) == []
    assert re.findall(r"^```\n[^\n]+", markdown, re.MULTILINE) == []
    assert [text for _, text in fences(markdown) if "\n\n" in text or "```" in text] == []


@pytest.mark.parametrize(
    "macro", ["operatorname", "mbox", "phantom", "label", "eqref", "ref", "colorbox", "class", "tag", "bm", "require"]
)
def test_no_formula_uses_what_github_refuses(macro, markdown):
    assert [formula for formula in formulas(markdown) if re.search(rf"\\{macro}(?![a-zA-Z])", formula)] == []


def test_every_formula_has_balanced_braces_and_delimiters(markdown):
    for formula in formulas(markdown):
        assert formula.count("{") == formula.count("}"), formula
        assert formula.count(r"\left") - formula.count(r"\leftarrow") == formula.count(r"\right"), formula
        assert formula.count(r"\begin") == formula.count(r"\end"), formula


def test_no_dollar_is_left_outside_a_formula(markdown):
    assert "$" not in re.sub(r"\$`.*?`\$", "", markdown)


def test_a_formula_in_a_sentence_is_not_glued_to_a_word(markdown):
    """GitHub leaves $`…`$ raw between letters or digits."""
    assert re.findall(r".{0,20}\w\$`[^`]*`\$|`\$\w.{0,20}", markdown) == []


def test_every_link_has_its_target(markdown, folder):
    targets = re.findall(r'<a id="([^"]+)"></a>', markdown)
    assert len(set(targets)) == len(targets)
    links = re.findall(r"\]\(([^)]+)\)", markdown)
    assert len(links) > 50
    assert {link for link in links if link.startswith("#")} <= {f"#{target}" for target in targets}
    assert all((folder / link).is_file() for link in links if not link.startswith("#"))


def test_the_contents_list_names_every_section_in_order(markdown):
    contents = re.findall(r"^- \[(.+)\]\(#.+\)$", markdown, re.MULTILINE)
    assert contents == re.findall(r"^## (.+)$", markdown, re.MULTILINE)


def test_the_rows_of_a_table_are_equally_long(markdown):
    tables = re.findall(r"(?:^\|.*\|\n)+", markdown, re.MULTILINE)
    assert len(tables) >= 4
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table
        assert re.fullmatch(r"\|(---\|)+", table.splitlines()[1])


def test_every_shown_equation_has_its_number(folder, linear: Derivation):
    text = (folder / "derivation.md").read_text(encoding="utf-8")
    shown = [equation.number for section in linear.sections for equation in section.shown_equations]
    numbers = [int(n) for n in re.findall(r"^```math\n.*\\qquad \((\d+)\)\n```$", text, re.MULTILINE)]
    assert numbers == shown
