"""Signs in to Moodle as a learner and opens a course in a browser.

Reads {"url", "user", "password", "course": number} from standard input and prints the page's title.
"""

import json
import sys

import chromium
from chromium import TIMEOUT
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait


def main():
    asked = json.load(sys.stdin)
    with chromium.page() as page:
        page.get(f"{asked['url']}/login/index.php")
        page.find_element(By.NAME, "username").send_keys(asked["user"])
        page.find_element(By.NAME, "password").send_keys(asked["password"] + Keys.ENTER)
        WebDriverWait(page, TIMEOUT).until(lambda p: "/login" not in p.current_url)
        page.get(f"{asked['url']}/course/view.php?id={asked['course']}")
        print(page.title)


main()
