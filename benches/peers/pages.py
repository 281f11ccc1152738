"""Measures the load times of dashboards in a browser.

Reads {"url", "user", "password", "dashboards": {slug: charts}} from standard input, opens all dashboards and then all again, and prints
{slug: {"first": {"sight", "end"}, "again": {"sight", "end"}}}: seconds from the request until everything visible is drawn, and until
the last chart is drawn while the page scrolls without a pause.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests/e2e"))

import chromium
from chromium import TIMEOUT
from dashboards import CHARTS, sign_in
from selenium.webdriver.support.ui import WebDriverWait

# Superset draws all charts at once, visible or not, in a browser that reveals that a program drives it
NOT_AUTOMATED = "--disable-blink-features=AutomationControlled"
WINDOW = "1920,1080"

SIGHT = f"""{CHARTS}
const inSight = ({{holder}}) => holder.getBoundingClientRect().top < innerHeight
return charts.length === arguments[0] && charts.filter(inSight).every(isDrawn)
"""
# Runs in the page, because a call from here for each chart would take longer than the measured time
SCROLL = f"""
const chart = nth => {{ {CHARTS} return {{holder: charts[nth].holder, isDrawn: isDrawn(charts[nth])}} }}
const scroll = async done => {{
  for (let nth = 0; nth < arguments[0]; nth++) {{
    chart(nth).holder.scrollIntoView()
    while (!chart(nth).isDrawn) await new Promise(requestAnimationFrame)
  }}
  done()
}}
scroll(arguments[1])
"""


def rest(page):
    """Waits until the page after the login sends no more requests, which would delay the first dashboard."""
    asked = [-1]

    def is_quiet(p):
        asked.append(p.execute_script("return performance.getEntriesByType('resource').length"))
        return asked[-1] == asked[-2]

    WebDriverWait(page, TIMEOUT, poll_frequency=1).until(is_quiet)


def look(page, url, charts):
    wait = WebDriverWait(page, TIMEOUT, poll_frequency=0.05)
    begun = time.monotonic()
    page.get(url)
    wait.until(lambda p: p.execute_script(SIGHT, charts))
    sight = time.monotonic() - begun
    page.execute_async_script(SCROLL, charts)
    return {"sight": round(sight, 2), "end": round(time.monotonic() - begun, 2)}


def main():
    asked = json.load(sys.stdin)
    with chromium.page(NOT_AUTOMATED, window=WINDOW) as page:
        page.set_script_timeout(TIMEOUT)
        sign_in(page, asked)
        rest(page)

        def round_of_all():
            return {slug: look(page, f"{asked['url']}/superset/dashboard/{slug}/", charts) for slug, charts in asked["dashboards"].items()}

        first, again = round_of_all(), round_of_all()
        print(json.dumps({slug: {"first": first[slug], "again": again[slug]} for slug in first}))


main()
