"""What the checks of the page share: where pictures go, what is waited for, what every page must keep to."""

import os
import pathlib
import urllib.parse

from browser import program
from interop import SCRATCH, Report, stop

if not program():
    stop("NO BROWSER: scripts/bootstrap --test installs Chromium, or SWIFTLET_BROWSER names one")
report = Report()
pictures = pathlib.Path(os.environ.get("SWIFTLET_PICTURES") or SCRATCH / "pictures")
pictures.mkdir(parents=True, exist_ok=True)

WAIT_FOR_ANSWER = "/\\d+ tokens? · [\\d.]+ tokens\\/s/.test(document.querySelector('#messages .message:last-child .foot')?.textContent)"

# Answers that are the same each time, and not long.
SAME_ANSWERS = """const asked = window.fetch;
window.fetch = (url, options) => asked(url, options?.body
    ? { ...options, body: JSON.stringify({ ...JSON.parse(options.body), temperature: 0, max_tokens: 250 }) } : options);"""

# What can be reached and has to have a name. What is in a form that is closed, or not shown, cannot.
INTERACTIVE = """[...document.querySelectorAll('a[href], button, select, textarea, input, summary, [tabindex="0"]')]
    .filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.disabled && !node.closest('dialog:not([open])'))"""

# The contrast of each text with what is behind it: the texts whose is too low.
CONTRAST = """(() => {
    const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
        .map((part) => part <= .03928 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [.2126, .7152, .0722][index], 0);
    const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const colour = rgb(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const bad = [];
    for (const node of document.querySelectorAll('body *')) {
        const hasText = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
        if (!hasText || !node.checkVisibility({ opacityProperty: true })) continue;
        const [one, other] = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
        const contrast = (one + .05) / (other + .05);
        if (contrast < 4.5) bad.push(`${node.tagName} ${node.textContent.slice(0, 20)} ${contrast.toFixed(2)}`);
    }
    return bad;
})()"""


def quiet(page, what, allowed=()):
    said = [line for line in page.said if not any(part in line for part in allowed)]
    report.check(not said, f"{what}: the console is empty" + (f"; not: {said[:3]}" if said else ""))
    hosts = {urllib.parse.urlsplit(url).netloc for url in page.asked if url.startswith("http")}
    report.check(len(hosts) == 1 and all(url.startswith(("http:", "about:")) for url in page.asked), f"{what}: asks {len(page.asked)} times, of {hosts}")


def walk(page, what):
    """Goes through the page by Tab: everything interactive is met, has a name, and the way leads out again."""
    count = page.value(f"document.activeElement.blur(), window.wanted = {INTERACTIVE}, wanted.length")
    met, nameless = set(), []
    for _ in range(count + 6):
        page.press("Tab")
        place = page.value("wanted.indexOf(document.activeElement)")
        if place in met:
            break
        if place < 0:
            continue
        met.add(place)
        role, name = page.name_of_focused()
        if not name:
            nameless.append(page.value("document.activeElement.outerHTML.slice(0, 100)"))
        if page.value("getComputedStyle(document.activeElement).outlineStyle") == "none":
            nameless.append("no outline: " + page.value("document.activeElement.outerHTML.slice(0, 100)"))
    missed = [page.value(f"wanted[{index}].outerHTML.slice(0, 100)") for index in range(count) if index not in met]
    report.check(not missed and not nameless, f"{what}: Tab meets all {count} controls, named and marked" + (f"; not: {missed + nameless}" if missed + nameless else ""))
