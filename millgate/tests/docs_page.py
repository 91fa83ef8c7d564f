#!/usr/bin/env python3
"""The docs page in a real browser: a call without a token is refused, a login there logs the page in, and the same call
is answered. `docs_page.rs` runs it.

    PASSWORD=... python3 docs_page.py http://127.0.0.1:8080 screenshot.png
"""

import json
import os
import shutil
import sys

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions as seen
from selenium.webdriver.support.ui import WebDriverWait

api, screenshot = sys.argv[1:]
options = webdriver.ChromeOptions()
options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
for flag in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,2200", "--no-proxy-server"]:
    options.add_argument(flag)
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))


def wait(condition):
    return WebDriverWait(browser, 60).until(condition)


def block(operation):
    """An operation of the page, opened, with the others of its service."""
    tag = f"[id='operations-tag-{operation.split('-')[0]}']"
    wait(seen.element_to_be_clickable((By.CSS_SELECTOR, tag))).click()
    place = f"[id='operations-{operation}']"
    wait(seen.element_to_be_clickable((By.CSS_SELECTOR, f"{place} .opblock-summary-control"))).click()
    wait(seen.presence_of_element_located((By.CSS_SELECTOR, f"{place} .execute")))
    return place


def execute(place):
    """The status and the body of the answer, as the page shows them."""
    wait(seen.element_to_be_clickable((By.CSS_SELECTOR, f"{place} .execute"))).click()
    live = f"{place} .live-responses-table tbody .response"
    status = wait(seen.presence_of_element_located((By.CSS_SELECTOR, f"{live} .response-col_status"))).text
    body = wait(seen.presence_of_element_located((By.CSS_SELECTOR, f"{live} .highlight-code code"))).text
    return status.split()[0], body


try:
    browser.get(f"{api}/docs")
    lists = block("ProductService-ListProducts")
    status, body = execute(lists)
    print("without a token:", status, json.loads(body)["error"]["details"][0]["reason"])
    browser.find_element(By.CSS_SELECTOR, f"{lists} .btn-clear").click()

    login = block("AuthService-Login")
    text = browser.find_element(By.CSS_SELECTOR, f"{login} textarea.body-param__text")
    text.send_keys(Keys.CONTROL, "a")
    text.send_keys(json.dumps({"username": "admin", "password": os.environ["PASSWORD"]}))
    status, body = execute(login)
    print("login:", status)
    status, body = execute(lists)
    print("with the token of the login:", status, "products" in json.loads(body))

    # What the page was kept from loading, or broke at, stands here; the refusal above does, too, as it should.
    faults = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    faults = [fault for fault in faults if "401" not in fault]
    print("faults of the page:", faults)
    # The login is closed first: its password and its token are nobody's to see in a picture.
    browser.find_element(By.CSS_SELECTOR, f"{login} .opblock-summary-control").click()
    answer = browser.find_element(By.CSS_SELECTOR, f"{lists} .live-responses-table")
    browser.execute_script("arguments[0].scrollIntoView({block: 'end'})", answer)
    browser.save_screenshot(screenshot)
finally:
    browser.quit()
