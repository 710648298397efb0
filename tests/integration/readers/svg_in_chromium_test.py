#!/usr/bin/env python3
"""The flame graph in Chromium, asked through its real document: svg_in_chromium_test.py PROFILE_TOOL"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chromium  # noqa: E402

SKIP = 77  # what ctest takes for "skipped"
TOOL = None
FILES = {}
BROWSERS = {}


def setUpModule():
    folder = tempfile.TemporaryDirectory(prefix="whyslow-svg-")
    unittest.addModuleCleanup(folder.cleanup)
    for name in ("server", "waits", "cpu", "hostile", "large"):
        FILES[name] = os.path.join(folder.name, name + ".svg")
        subprocess.run([TOOL, "sample", name, FILES[name]], check=True)
    for name, dark in (("light", False), ("dark", True)):
        BROWSERS[name] = chromium.Browser(dark=dark)
        unittest.addModuleCleanup(BROWSERS[name].close)


# Run in the page: small questions about what is drawn.
FRAME_ROWS = """
  const rows = [];
  for (const element of document.querySelectorAll('#graph .frame')) {
    const rect = element.matches('rect') ? element : element.querySelector('rect');
    const text = element.querySelector('text');
    rows.push({node: Number(element.dataset.node), classes: element.getAttribute('class').split(' '),
               x: Number(rect.getAttribute('x')), y: Number(rect.getAttribute('y')),
               width: Number(rect.getAttribute('width')), text: text ? text.textContent : '',
               textLength: text ? text.getComputedTextLength() : 0,
               textX: text ? Number(text.getAttribute('x')) : 0});
  }
  return rows;
"""

CONTRASTS = r"""
  const channel = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const luminance = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const parse = (css) => css.match(/[\d.]+/g).map(Number);
  const over = (top, alpha, below) => top.slice(0, 3).map((c, i) => c * alpha + below[i] * (1 - alpha));
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const page = parse(getComputedStyle(document.querySelector('.backdrop')).fill);
  const results = [];
  for (const element of document.querySelectorAll('#graph .frame')) {
    const text = element.querySelector('text');
    if (!text) continue;
    const box = getComputedStyle(element.querySelector('rect'));
    const ink = getComputedStyle(text);
    const opacity = Number(getComputedStyle(element).opacity);
    const fill = over(parse(box.fill), Number(box.fillOpacity) * opacity, page);
    const letters = over(parse(ink.fill), Number(ink.fillOpacity) * opacity, fill);
    results.push([element.getAttribute('class'), contrast(letters, fill)]);
  }
  for (const selector of ['.title', '.details', '#legend', '.status', '#search', '#reset']) {
    const style = getComputedStyle(document.querySelector(selector));
    const own = parse(style.backgroundColor);
    const below = own.length === 4 && own[3] === 0 ? page : own;
    results.push([selector, contrast(parse(style.color), below)]);
  }
  const footer = document.querySelector('#footer');
  results.push(['#footer', contrast(parse(getComputedStyle(footer).fill), page)]);
  return results;
"""


class FlamegraphInChromium(unittest.TestCase):
    def setUp(self):
        self.browser = BROWSERS["light"]

    def open(self, name, width=1200):
        self.browser.resize(width)
        self.browser.open(FILES[name])

    def rows(self):
        return self.browser.run(FRAME_ROWS)

    def node(self, beginning):
        """The node whose full name begins so, also when its box shows less of it."""
        return self.browser.run("""
            const data = JSON.parse(document.querySelector('#profile-data').textContent);
            for (let i = 0; i < data.nodes.length; i += 3) {
              if (data.frames[data.nodes[i]][0].startsWith(arguments[0])) return i / 3 + 1;
            }
            return null;""", beginning)

    def frame(self, beginning):
        return f'#graph .frame[data-node="{self.node(beginning)}"]'

    def status(self):
        return self.browser.run("return document.querySelector('#status').textContent")

    def tip(self):
        return self.browser.run("""
            const box = document.querySelector('#tip');
            return box.style.display === 'none' ? '' : box.innerText || box.textContent;""")

    def type_search(self, text):
        self.browser.press("/")
        self.browser.press(*text)

    def assert_texts_fit(self, where):
        for row in self.rows():
            if row["text"]:
                self.assertLessEqual(row["textX"] + row["textLength"], row["x"] + row["width"] + 0.01,
                                     f"{row['text']!r} {where}")

    def test_every_frame_is_drawn_once(self):
        self.open("server")
        rows = self.rows()
        # 6 stacks in 2 threads share callers: 21 frames, and the one for all.
        self.assertEqual(len(rows), 22)
        self.assertEqual(len({row["node"] for row in rows}), 22)
        self.assertTrue(all(row["text"] for row in rows))

    def test_widths_are_shares_of_the_whole(self):
        self.open("server")
        by_node = {row["node"]: row for row in self.rows()}
        whole = by_node[0]["width"]
        for name, share in (("handle", 0.6), ("[wait: socket", 0.25), ("json::Parse", 0.2)):
            self.assertAlmostEqual(by_node[self.node(name)]["width"] / whole, share, delta=0.002)

    def test_the_title_tells_target_mode_duration_and_total(self):
        self.open("server")
        head = self.browser.run("return document.querySelector('.bar').textContent")
        for words in ("gunicorn (4711)", "wall", "1 s", "in total", "2026-01-01"):
            self.assertIn(words, head)

    def test_a_click_zooms_and_reset_goes_back(self):
        self.open("server")
        before = self.rows()
        self.browser.click(self.frame("handle"))
        after = {row["node"]: row for row in self.rows()}
        handle = self.node("handle")
        self.assertAlmostEqual(after[handle]["width"], before[0]["width"], delta=0.01)
        self.assertNotIn(self.node("[wait: sleep]"), after)
        self.assertIn("parent", after[self.node("Worker.serve")]["classes"])
        self.assertAlmostEqual(after[self.node("[wait: socket")]["width"] / after[0]["width"],
                               250 / 600, delta=0.002)
        self.assertIn("60.00 % of all", self.status())
        self.browser.click("#reset")
        self.assertEqual(self.rows(), before)

    def test_a_click_on_a_caller_zooms_out_to_it(self):
        self.open("server")
        self.browser.click(self.frame("handle"))
        self.browser.click(self.frame("Worker.serve"))
        self.assertIn("70.00 % of all", self.status())

    def test_escape_resets_zoom_and_search(self):
        self.open("server")
        before = self.rows()
        self.browser.click(self.frame("handle"))
        self.type_search("PQ")
        self.browser.press("Escape")
        self.assertEqual(self.rows(), before)
        self.assertEqual(self.status(), "")
        self.assertEqual(self.browser.run("return document.querySelector('#search').value"), "")

    def test_a_match_below_a_match_is_not_counted_twice(self):
        self.open("server")
        # PQgetResult (350 ms) holds [wait: socket] (250 ms); [wait: sleep] is another 250 ms.
        self.type_search("wait|PQ")
        self.assertIn("Matched 60.00 % (600.000 ms)", self.status())
        matched = {row["node"] for row in self.rows() if "match" in row["classes"]}
        self.assertEqual(matched, {self.node("PQget"), self.node("[wait: socket"),
                                   self.node("[wait: sleep")})

    def test_search_counts_all_occurrences_of_a_frame(self):
        self.open("server")
        self.type_search("^_PyEval")
        self.assertIn("Matched 100.00 %", self.status())

    def test_search_in_a_zoomed_frame_is_a_share_of_it(self):
        self.open("server")
        self.browser.click(self.frame("handle"))
        self.type_search("push_back")
        self.assertIn("Matched 33.33 % (200.000 ms) of the zoomed frame", self.status())

    def test_small_letters_find_both_cases_and_capitals_only_themselves(self):
        self.open("server")
        self.type_search("pqgetresult")
        self.assertIn("Matched 35.00 %", self.status())
        self.browser.press("Escape")
        self.type_search("PQGETRESULT")
        self.assertIn("Matched 0.00 %", self.status())

    def test_control_f_opens_search_and_enter_goes_to_the_widest_match(self):
        self.open("server")
        self.browser.press(("Control", "f"))
        self.assertEqual(self.browser.run("return document.activeElement.id"), "search")
        self.browser.press(*"wait: s", "Enter")
        self.assertIn("[wait: s", self.tip())

    def test_an_invalid_expression_is_told_and_harms_nothing(self):
        self.open("server")
        self.type_search("(handle")
        self.assertIn("Not a regular expression", self.status())
        self.assertEqual(len(self.rows()), 22)
        self.assertFalse(any("match" in row["classes"] for row in self.rows()))
        self.browser.press(")")
        self.assertIn("Matched 60.00 %", self.status())

    def test_the_tooltip_has_exact_numbers(self):
        self.open("server")
        self.browser.hover(self.frame("Cursor.execute"))
        tip = self.tip()
        for words in ("Cursor.execute (cursor.py)", "Python", "/srv/lib/psycopg/cursor.py",
                      "350.000 ms", "35.00 % of all", "58.33 % of parent"):
            self.assertIn(words, tip)

    def test_the_tooltip_of_a_cpu_profile_counts_samples(self):
        self.open("cpu")
        self.browser.hover(self.frame("copy_page"))
        for words in ("copy_page_[k]", "kernel", "30 samples", "30.00 % of all"):
            self.assertIn(words, self.tip())

    def test_the_tooltip_of_a_wait_has_its_family_and_how_many_there_were(self):
        self.open("waits")
        self.browser.hover(self.frame("[wait: socket"))
        for words in ("[wait: socket 127.0.0.1:5432 postgresql]", "wait: network", "600.000 ms", "waits", "12",
                      "50.000 ms on average"):
            self.assertIn(words, self.tip())
        self.browser.hover(self.frame("Query"))
        self.assertNotIn("on average", self.tip())
        self.browser.hover(self.frame("[wait: condition"))
        self.assertIn("idle", self.tip())

    def test_families_of_waits_have_colours_of_their_own_and_a_legend(self):
        for browser in BROWSERS.values():
            self.browser = browser
            self.open("waits")
            legend = self.browser.run("""
                return [...document.querySelectorAll('#legend span')].map((entry) =>
                    [entry.textContent, getComputedStyle(entry.querySelector('rect')).fill]);""")
            waits = {words: fill for words, fill in legend if words.startswith("wait: ") or words == "idle"}
            self.assertEqual(len(waits), 10)
            self.assertEqual(len({fill for _, fill in legend}), len(legend))

    def test_the_tooltip_stays_on_the_page(self):
        self.open("server", width=500)
        for name in ("json::Parse", "std::vector", "[wait: sleep"):
            self.browser.hover(self.frame(name))
            left, right = self.browser.run("""
                const box = document.querySelector('.tip').getBoundingClientRect();
                return [box.left, box.right];""")
            self.assertGreaterEqual(left, 0)
            self.assertLessEqual(right, 500)

    def test_arrow_keys_walk_and_enter_zooms(self):
        self.open("server")
        self.browser.click("#graph .frame[data-node='0']")
        self.browser.run("document.querySelector('#graph .frame[data-node=\"0\"]').focus()")
        self.browser.press("ArrowDown")
        self.assertIn("worker-1", self.tip())
        self.browser.press("ArrowLeft")
        self.assertIn("gunicorn", self.tip())
        self.browser.press("Enter")
        self.assertIn("25.00 % of all", self.status())
        self.browser.press("ArrowUp", "Enter")
        self.assertEqual(self.status(), "")

    def test_tab_reaches_the_graph(self):
        self.open("server")
        self.browser.press("/", "Tab")
        self.assertEqual(
            self.browser.run("return document.activeElement.getAttribute('data-node')"), "0")

    def test_names_never_leave_their_boxes(self):
        for name in ("server", "hostile"):
            self.open(name)
            for width in (1600, 1200, 777, 420, 160):
                self.browser.resize(width)
                self.assert_texts_fit(f"at {width} px in {name}")

    def test_names_never_leave_their_boxes_when_zoomed(self):
        for name in ("server", "hostile"):
            self.open(name)
            for row in self.rows():
                self.browser.run("""document.querySelector(`.frame[data-node="${arguments[0]}"]`)
                                    ?.dispatchEvent(new MouseEvent('click', {bubbles: true}))""",
                                 row["node"])
                self.assert_texts_fit(f"zoomed to {row['node']} in {name}")
                self.browser.press("Escape")

    def test_the_graph_follows_the_window(self):
        self.open("server")
        for width in (500, 1700):
            self.browser.resize(width)
            rows = self.rows()
            self.assertAlmostEqual(rows[0]["width"], width - 24, delta=1)
            self.assertLessEqual(max(row["x"] + row["width"] for row in rows), width - 11)

    def test_colours_are_readable_in_both_schemes(self):
        for scheme, browser in BROWSERS.items():
            self.browser = browser
            for name in ("server", "waits", "hostile", "large"):
                self.open(name)
                self.assert_contrast(scheme, name)
            self.open("server")
            self.browser.click(self.frame("handle"))
            self.assert_contrast(scheme, "zoomed")
            self.type_search("e")
            self.assert_contrast(scheme, "searching")
            self.browser.press(*"(((")
            self.assert_contrast(scheme, "an invalid search")

    def assert_contrast(self, scheme, what):
        for where, contrast in self.browser.run(CONTRASTS):
            if where != "#reset":  # greyed out while there is nothing to reset
                self.assertGreaterEqual(contrast, 4.5, f"{where} ({scheme}, {what})")

    def test_the_schemes_differ(self):
        fills = []
        for browser in BROWSERS.values():
            self.browser = browser
            self.open("server")
            fills.append(browser.run(
                "return getComputedStyle(document.querySelector('.backdrop')).fill"))
        self.assertEqual(fills, ["rgb(255, 255, 255)", "rgb(22, 24, 27)"])

    def test_hostile_names_are_shown_and_do_nothing(self):
        self.open("hostile")
        self.assertFalse(self.browser.alert_is_open())
        self.assertNotEqual(self.browser.run("return document.title"), "owned")
        self.assertEqual(self.browser.run("return document.querySelectorAll('script').length"), 2)
        self.assertEqual(self.browser.run("return document.querySelectorAll('iframe, b').length"), 0)
        names = self.browser.run("""
            return JSON.parse(document.querySelector('#profile-data').textContent)
                .frames.map((frame) => frame[0])""")
        for name in ("<script>alert(document.title='owned')</script>",
                     "]]><svg onload=\"document.title='owned'\"/>",
                     "quotes \" and ' and &amp; & <b>", "semi;colon", "line break tab ",
                     "nul\\x00esc\\x1b[31", "bad utf-8 \\xff\\xc3(\\xed\\xa0\\x80",
                     "right to left \\u202e evil", "日本語の関数名"):
            self.assertIn(name, names)

    def test_hostile_names_are_shown_in_tooltips_as_text(self):
        self.open("hostile")
        self.browser.hover(self.frame("<script>"))
        self.assertIn("<script>alert(document.title='owned')</script>", self.tip())
        self.type_search("<script>")
        self.assertIn("Matched 7.69 %", self.status())  # 2 of 26 samples, also by thread
        self.assertEqual(self.browser.run("return document.querySelectorAll('script').length"), 2)

    def test_slivers_are_counted_and_come_back_with_zoom(self):
        self.open("large")
        in_file = self.browser.run("""
            return JSON.parse(document.querySelector('#profile-data').textContent).nodes.length / 3""")
        footer = self.browser.run("return document.querySelector('#footer').textContent")
        hidden = int(re.match(r"([\d,]+) frames? narrower", footer)[1].replace(",", ""))
        rows = self.rows()
        self.assertEqual(len(rows) + hidden, in_file + 1)
        self.assertGreater(hidden, 0)
        third_row = sorted({row["y"] for row in rows})[2]
        widest = max((row for row in rows if row["y"] > third_row), key=lambda row: row["width"])
        self.browser.click(f'.frame[data-node="{widest["node"]}"]')
        self.assertEqual(self.browser.run("return document.querySelector('#footer').textContent"), "")

    def test_nothing_is_loaded_from_anywhere(self):
        self.open("server")
        loaded = self.browser.run("return performance.getEntriesByType('resource').map((e) => e.name)")
        self.assertEqual(loaded, [])


class FlamegraphWithoutScript(unittest.TestCase):
    def test_the_still_picture_shows_every_frame_inside_its_box(self):
        with chromium.Browser(script=False) as browser:
            browser.open(FILES["server"])
            boxes = browser.run("""
                return [...document.querySelectorAll('#static > svg')].map((box) => {
                  const text = box.querySelector('text');
                  return [text.textContent, box.width.baseVal.value, getComputedStyle(box).overflow,
                          box.querySelector('title').textContent];
                });""")
        self.assertEqual(len(boxes), 22)
        self.assertTrue(all(overflow == "hidden" for _, _, overflow, _ in boxes))
        titles = [title for *_, title in boxes]
        self.assertIn("handle (views.py): 600 ms, 60.00 %", titles)

    def test_the_file_is_xml_without_outside_references(self):
        import xml.etree.ElementTree as ElementTree
        for name in ("server", "cpu", "hostile"):
            tree = ElementTree.parse(FILES[name])
            for element in tree.iter():
                for key, value in element.attrib.items():
                    self.assertNotIn("href", key)
                    self.assertNotRegex(value, r"^\s*(https?:|//|javascript:|data:)")
            data = next(e.text for e in tree.iter() if e.get("id") == "profile-data")
            self.assertEqual(json.loads(data)["version"], 1)


if __name__ == "__main__":
    reason = chromium.missing_program()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIP)
    TOOL = sys.argv.pop(1)
    unittest.main(verbosity=2)
