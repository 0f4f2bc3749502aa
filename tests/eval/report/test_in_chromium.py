"""The page in a browser: an episode is stepped through, and the console stays silent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

STEP = "document.querySelector('#overview tr[aria-current=step] button').dataset.step"


def text(chromium: Any, selector: str) -> str:
    value: str = chromium.evaluate(f"document.querySelector({selector!r}).textContent")
    return value


def choose(chromium: Any, name: str, value: str) -> None:
    """Take an option of a menu as a reader does: the menu changes and says so."""
    chromium.evaluate(
        f"{{ const menu = document.getElementById({name!r}); menu.value = {value!r};"
        " menu.dispatchEvent(new Event('change', {bubbles: true})); }"
    )


def most_steps(data: dict[str, Any]) -> int:
    return max(len(start["logged"]) for start in data["starts"])


def start_of_most_steps(data: dict[str, Any]) -> int:
    return [len(start["logged"]) for start in data["starts"]].index(most_steps(data))


@pytest.fixture
def quiet(chromium: Any) -> Any:
    """The browser; the test fails on whatever its console says."""
    before = len(chromium.complaints())
    chromium.resize(1280, 900)
    chromium.prefer("light")
    yield chromium
    assert chromium.complaints()[before:] == []


def test_an_episode_is_stepped_through_by_keyboard(made: Any, quiet: Any) -> None:
    data = made.browser
    number = start_of_most_steps(data)
    start = data["starts"][number]
    quiet.open(made.page, f"#episode={number}&policy=1&step=1")
    quiet.evaluate("document.getElementById('next').focus()")
    last = len(start["logged"])
    for step in range(1, last + 1):
        assert quiet.evaluate(STEP) == str(step)
        assert text(quiet, "#status").startswith(f"Step {step} of {last}.")
        logged, played = start["logged"][step - 1], start["played"][1][step - 1]
        assert text(quiet, "#student-verdict").startswith(f"Grade {logged[1]}/100, {logged[2]}")
        if played is None:
            assert text(quiet, "#policy-verdict").startswith("No submission: ")
        else:
            assert text(quiet, "#policy-verdict").startswith(f"Grade {played[1]}/100, {played[2]}")
            assert data["feedback"][played[4]] in text(quiet, "#policy-feedback")
        quiet.press("ArrowRight")
    assert quiet.evaluate(STEP) == str(last)
    assert quiet.evaluate("document.getElementById('next').ariaDisabled") == "true"
    assert quiet.evaluate("document.activeElement.id") == "next"
    quiet.press("ArrowLeft")
    assert quiet.evaluate(STEP) == str(last - 1)


def test_programs_are_shown_as_they_are_with_their_differences_marked(
    made: Any, quiet: Any
) -> None:
    data = made.browser
    shown = "[...document.querySelectorAll('#%s .row:not(.filler):not(.gone)')].map((row) =>"
    shown += " { const own = row.cloneNode(true); own.querySelectorAll('.visually-hidden')"
    shown += ".forEach((one) => one.remove()); return own.textContent; }).join('')"
    hostile = False
    quiet.open(made.page)
    for number, start in enumerate(data["starts"]):
        choose(quiet, "student", start["student"])
        choose(quiet, "assignment", start["assignment"])
        choose(quiet, "start", str(number))
        for step in range(1, len(start["logged"]) + 1):
            quiet.evaluate(
                f"document.querySelector('#overview button[data-step=\"{step}\"]').click()"
            )
            logged, played = start["logged"][step - 1], start["played"][0][step - 1]
            for highlight in ("sides", "time"):
                choose(quiet, "highlight", highlight)
                assert quiet.evaluate(shown % "student-code") == data["programs"][logged[0]]
                wanted = "" if played is None else data["programs"][played[0]]
                assert quiet.evaluate(shown % "policy-code") == wanted
            hostile = hostile or "</script>" in data["programs"][logged[0]]
            choose(quiet, "highlight", "sides")
            marked = quiet.evaluate("document.querySelectorAll('#student-code .row.left').length")
            assert bool(marked) == (played is not None and played[0] != logged[0])
    assert hostile
    assert quiet.evaluate("document.querySelectorAll('img').length") == 0


def test_the_menus_choose_student_assignment_start_and_policy(made: Any, quiet: Any) -> None:
    data = made.browser
    quiet.open(made.page)
    assert text(quiet, "#status").startswith(f"Step 1 of {most_steps(data)}.")
    for start in data["starts"]:
        choose(quiet, "student", start["student"])
        choose(quiet, "assignment", start["assignment"])
        choose(quiet, "start", str(data["starts"].index(start)))
        title = f"Student {start['student']}, submission {start['position'] + 1}"
        assert text(quiet, "#student-title") == title
    choose(quiet, "policy", "2")
    assert text(quiet, "#policy-title") == f"{data['policies'][2]}, step 1"
    options = "[...document.querySelector('#policy').options].map((one) => one.textContent)"
    assert quiet.evaluate(options) == data["policies"]


def test_an_assignment_of_which_nothing_is_known_is_named_by_its_id(made: Any, quiet: Any) -> None:
    """Whatever it is called: "constructor" is a name that every object of a script has."""
    names = {start["assignment"] for start in made.browser["starts"]}
    assert "constructor" in names
    assert made.browser["assignments"] == {}
    quiet.open(made.page)
    options = "[...document.querySelector('#assignment').options].map((one) => one.textContent)"
    shown = set()
    for student in sorted({start["student"] for start in made.browser["starts"]}):
        choose(quiet, "student", student)
        for name in quiet.evaluate(options):
            choose(quiet, "assignment", name)
            assert quiet.evaluate("document.getElementById('task').hidden") is True
            assert quiet.evaluate("document.getElementById('tests').hidden") is True
            shown.add(name)
    assert shown == names


def test_the_table_of_the_episode_goes_to_a_step(made: Any, quiet: Any) -> None:
    number = start_of_most_steps(made.browser)
    quiet.open(made.page, f"#episode={number}")
    quiet.evaluate("document.querySelector('#overview button[data-step=\"2\"]').click()")
    assert quiet.evaluate(STEP) == "2"
    row = "document.querySelector('#overview tr[aria-current=step] button').textContent"
    assert quiet.evaluate(row) == "Step 2"
    quiet.evaluate("document.querySelector('#overview button[data-step=\"0\"]').click()")
    assert text(quiet, "#status").startswith("Before the first of ")


def test_the_address_is_a_link_to_what_is_shown(made: Any, quiet: Any) -> None:
    quiet.open(made.page)
    assert quiet.evaluate("location.hash") == ""
    choose(quiet, "policy", "1")
    quiet.evaluate("document.getElementById('next').click()")
    shown = text(quiet, "#browser .sides")
    number = start_of_most_steps(made.browser)
    deadline = time.monotonic() + 60
    while (link := quiet.evaluate("location.hash")) != f"#episode={number}&policy=1&step=2":
        assert time.monotonic() < deadline, link
        time.sleep(0.05)
    quiet.open(made.page, link)
    assert text(quiet, "#browser .sides") == shown
    quiet.open(made.page, "#episode=99999&policy=-1&step=x")
    assert quiet.evaluate(STEP) == "1"


def test_everything_that_takes_the_focus_has_a_name(made: Any, quiet: Any) -> None:
    quiet.open(made.page)
    nodes = quiet.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "combobox", "link", "region", "main", "banner", "navigation", "contentinfo"}
    named = [
        (node["role"]["value"], node.get("name", {}).get("value"))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]
    unnamed = [role for role, name in named if not name]
    assert set(unnamed) <= {"main", "banner", "contentinfo"}
    assert {"combobox", "button", "link", "main", "navigation"} <= {role for role, _ in named}


@pytest.mark.parametrize("width", [320, 390, 820])
def test_on_a_phone_only_tables_scroll_sideways(made: Any, quiet: Any, width: int) -> None:
    quiet.resize(width, 844, phone=True)
    quiet.open(made.page, "#episode=0")
    quiet.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert quiet.evaluate("document.documentElement.scrollWidth") <= width
    assert quiet.evaluate("window.innerWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(made: Any, quiet: Any, scheme: str) -> None:
    """At least 4.5:1 for every text of the page against the colour behind it (WCAG AA)."""
    quiet.prefer(scheme)
    quiet.open(made.page)
    quiet.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    dark = "getComputedStyle(document.body).backgroundColor"
    assert (quiet.evaluate(dark) == "rgb(255, 255, 255)") == (scheme == "light")
    assert quiet.evaluate(_FAINT) == []
    choose(quiet, "highlight", "time")
    quiet.evaluate("document.getElementById('next').click()")
    assert quiet.evaluate("document.querySelectorAll('.row.gone, .row.right').length") > 0
    assert quiet.evaluate(_FAINT) == []


_FAINT = """
(() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92
      : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, alpha = 1] = channels(getComputedStyle(one).backgroundColor);
      if (alpha === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const inSvg = element.closest('svg');
    const text = channels(inSvg ? style.fill : style.color).slice(0, 3);
    const [a, b] = [luminance(text), luminance(behind(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) faint.push([element.tagName, walker.currentNode.data.trim(), contrast]);
  }
  return faint;
})()
"""


def test_the_browser_tells_what_a_console_says(chromium: Any, tmp_path: Path) -> None:
    """The tests above can fail: errors, exceptions and what the policy forbids are heard."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<meta http-equiv='Content-Security-Policy' content=\"script-src 'unsafe-inline'; "
        "img-src 'none'\"><img src='data:,x'><script>console.error('said'); throw Error('thrown')"
        "</script>"
    )
    before = len(chromium.complaints())
    chromium.open(page)
    heard = " ".join(chromium.complaints()[before:])
    for part in ("said", "thrown", "Content Security Policy"):
        assert part in heard
