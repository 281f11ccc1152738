"""Opens dashboards in a browser: signs in, opens each one, waits for its charts, and prints their texts.

Reads {"url", "user", "password", "dashboards": {slug: charts}, "filters": {slug: {name: value}}, "screenshots": folder or null} from
standard input and prints {slug: {"charts": {title: text}, "filtered": {title: text}}}: the texts before and after the selection of the
filter values. The text of a failed chart holds its error.
"""

import json
import sys

import chromium
from chromium import TIMEOUT
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.ui import WebDriverWait

# Notes use the same element as charts, but have no title. A loading chart has an indicator instead of its content, and a chart
# whose script is not loaded yet is empty.
# The check runs often, so it reads no rendered text: that would make the browser lay out the page each time.
CHARTS = """
const charts = [...document.querySelectorAll('.dashboard-component-chart-holder')].map(holder => ({
  holder, title: (holder.querySelector('[data-test="editable-title"], .header-title') || {}).textContent || '',
})).filter(chart => chart.title)
const isDrawn = ({holder}) => {
  const slice = holder.querySelector('.slice_container')
  return slice && !holder.querySelector('[data-test="loading-indicator"], .loading') && (slice.textContent !== '' || slice.querySelector('canvas, svg') !== null)
}
"""
SHOWN = f"{CHARTS} return charts.length === arguments[0] && charts.every(isDrawn)"
TEXTS = f"""{CHARTS}
return charts.map(({{holder, title}}) => [title, holder.innerText])
"""


def fill_in_the_login(page, asked, timeout):
    page.get(f"{asked['url']}/login/")
    fields = WebDriverWait(page, TIMEOUT).until(lambda p: [f for f in p.find_elements(By.CSS_SELECTOR, "input") if f.is_displayed()][:2])
    fields[0].send_keys(asked["user"])
    fields[1].send_keys(asked["password"] + Keys.ENTER)
    WebDriverWait(page, timeout).until(lambda p: "/login" not in p.current_url)


def sign_in(page, asked):
    """Signs in. Superset's page sends a log while the script types. If the response sets another session, the form appears again."""
    try:
        fill_in_the_login(page, asked, TIMEOUT / 4)
    except TimeoutException:
        fill_in_the_login(page, asked, TIMEOUT)


def select(page, name, value):
    """Types a value into a filter of the bar and applies it."""
    wait = WebDriverWait(page, TIMEOUT, ignored_exceptions=[StaleElementReferenceException])
    field = f"//*[@data-test='filter-control-name'][normalize-space()='{name}']/ancestor::*[.//input[@role='combobox']][1]//input[@role='combobox']"

    def offered(p):
        control = p.find_element(By.XPATH, field)
        if not control.get_attribute("value"):
            # types again if necessary: the page redraws the bar at its start and loses the text
            control.send_keys(value)
        return element_to_be_clickable((By.CSS_SELECTOR, f".ant-select-item-option[title='{value}']"))(p)

    wait.until(offered).click()
    wait.until(lambda p: p.find_element(By.CSS_SELECTOR, "[data-test='filter-bar__apply-button']:enabled")).click()


def look(page, asked, slug, expected):
    wait = WebDriverWait(page, TIMEOUT, poll_frequency=0.1)
    page.get(f"{asked['url']}/superset/dashboard/{slug}/")
    wait.until(lambda p: p.execute_script(SHOWN, expected))
    if asked.get("screenshots"):
        page.save_screenshot(f"{asked['screenshots']}/{slug}.png")
    charts = page.execute_script(TEXTS)
    seen = {"charts": dict(charts)}
    for name, value in asked.get("filters", {}).get(slug, {}).items():
        select(page, name, value)
        wait.until(lambda p: p.execute_script(SHOWN, expected) and p.execute_script(TEXTS) != charts)
        charts = page.execute_script(TEXTS)
        seen["filtered"] = dict(charts)
    return seen


def main():
    asked = json.load(sys.stdin)
    with chromium.page() as page:
        sign_in(page, asked)
        print(json.dumps({slug: look(page, asked, slug, charts) for slug, charts in asked["dashboards"].items()}))


if __name__ == "__main__":
    main()
