"""How well the words of a page stand out: WCAG 2.2, contrast ratio of text (1.4.3), from the browser's own styles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

# words that are shown and not disabled; colours are laid over one another as the browser does
_FAINT = """() => {
  const rgba = said => { const v = said.match(/[\\d.]+/g).map(Number); return v.length > 3 ? v : [...v, 1] };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = colour => { const [r, g, b] = colour.map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const line = element => { const up = []; for (let e = element; e; e = e.parentElement) up.push(e); return up };
  const found = [];
  let seen = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement, words = walk.currentNode.textContent.trim();
    const hidden = '[aria-hidden=true], script, style, [disabled], [aria-disabled=true], label:has(:disabled)';
    if (!words || !element.offsetParent || element.closest(hidden)) continue;
    const style = getComputedStyle(element), above = line(element).map(e => getComputedStyle(e));
    const opacity = above.reduce((product, s) => product * s.opacity, 1);
    if (style.visibility !== 'visible' || opacity < 0.05) continue;
    const ground = above.reverse().reduce((below, s) => over(rgba(s.backgroundColor), below), [255, 255, 255]);
    const [r, g, b, alpha] = rgba(style.color);
    const [low, high] = [light(over([r, g, b, alpha * opacity], ground)), light(ground)].sort((a, b) => a - b);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    seen += 1;
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)}: ${words.slice(0, 40)}`);
  }
  return [seen, found];
}"""


def faint(page: Page) -> tuple[int, list[str]]:
    """How many pieces of text the page shows, and those below 4.5 to 1 (large ones: 3 to 1) with their ratio."""
    seen, found = page.evaluate(_FAINT)
    return int(seen), list(found)
