"""Draws docs/derivation-beside-code.png, the picture in README.md: equations of the page, and the lines that they are.

Run from the project's root after `make derive`: .venv/bin/python docs/picture.py. It needs Chromium (Debian: chromium).
"""

import re
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

CELL = Path("generated/linear")
LAYOUT = """
([code, numbers]) => {
  const keep = numbers.map(number => document.getElementById(`eq-${number}`));
  const left = document.createElement('div');
  left.append(...keep);
  const right = document.createElement('pre');
  right.textContent = code;
  const both = document.createElement('div');
  both.id = 'picture';
  both.append(left, right);
  document.body.append(both);  // the rest stays, out of sight: where MathJax keeps the glyphs
  const style = document.createElement('style');
  style.textContent = `.page { height: 0; padding: 0; overflow: hidden } #picture { display: grid; grid-template-columns: 27rem auto; gap: 1.5rem; padding: 1rem;
    width: max-content; align-items: center } #picture pre { padding: 1rem; margin: 0 } #picture .equation pre,
    #picture .why { display: none }`;
  document.head.append(style);
}
"""


def main() -> None:
    """Takes the functions `backward` and `sum_over_time` and the equations that they carry the numbers of."""
    source = (CELL / "network.py").read_text(encoding="utf-8")
    bodies = [re.search(rf"^def {name}\(.*?(?=^\S|\Z)", source, re.S | re.M) for name in ("backward", "sum_over_time")]
    code = "\n\n".join(re.sub(r'\n    """.*?"""', "", body[0], flags=re.S).strip() for body in bodies if body)
    numbers = re.findall(r"# \((\d+)\)", code)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900}, device_scale_factor=2)
        page.goto((CELL / "derivation.html").resolve().as_uri())
        page.evaluate("() => MathJax.startup.promise")
        page.evaluate(LAYOUT, [code, numbers])
        page.locator("#picture").screenshot(path="docs/derivation-beside-code.png")
        browser.close()


if __name__ == "__main__":
    main()
