#!/usr/bin/env python3
"""A customer, a product, an order: with requests. PASSWORD is the first administrator's.

    PASSWORD=... python3 examples/client.py [http://127.0.0.1:8080]
"""

import os
import sys
import uuid

import requests


class Refused(Exception):
    """An answer that is no success. Branch on `reason`, show `message`, mark `fields`."""

    def __init__(self, response):
        error = response.json()["error"]
        self.status = response.status_code
        self.reason = error["details"][0]["reason"]
        self.message = error["message"]
        self.fields = {
            violation["field"]: violation["description"]
            for detail in error["details"]
            for violation in detail.get("field_violations", [])
        }
        super().__init__(f"{self.status} {self.reason}: {self.message}")


class Client:
    """Calls as one person, or as nobody."""

    def __init__(self, api):
        self.api = api
        self.session = requests.Session()

    def call(self, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.session.request(method, self.api + path, json=body, headers=headers, timeout=15)
        if not response.ok:
            raise Refused(response)
        return response

    def log_in(self, path, **credentials):
        token = self.call("POST", path, credentials).json()["access_token"]
        self.session.headers["authorization"] = f"Bearer {token}"


def refused(call):
    try:
        call()
    except Refused as refusal:
        return refusal
    raise AssertionError("this should have been refused")


def main():
    api = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    unique = uuid.uuid4().hex
    email, password = f"ada-{unique}@example.com", "a long enough one"

    customer, staff = Client(api), Client(api)
    person = {"name": "Ada", "email": email, "phone": "555-0100", "password": password}
    customer.call("POST", "/customers", person)
    customer.log_in("/customers/login", email=email, password=password)
    staff.log_in("/v1/auth/login", username="admin", password=os.environ["PASSWORD"])

    price = {"currency_code": "EUR", "units": "12"}
    product = {"sku": f"W-{unique}", "name": "Widget", "unit_price": price, "on_hand": "10"}
    denied = refused(lambda: customer.call("POST", "/v1/products", product))
    print("a customer makes no product:", denied.status, denied.reason)
    made = staff.call("POST", "/v1/products", product)
    place, etag = made.headers["location"], made.headers["etag"]
    print("staff make one:", made.status_code, place)

    order = {"lines": [{"product_id": made.json()["id"], "quantity": "3"}]}
    key = str(uuid.uuid4())
    orders = [customer.call("POST", "/v1/orders", order, idempotency_key=key).json()["id"] for _ in range(2)]
    left = customer.call("GET", place)
    print("ordered twice with one key, one order:", orders[0] == orders[1], "left:", left.json()["available"])

    staff.call("PATCH", place, {"name": "Gizmo"}, if_match=etag)
    stale = refused(lambda: staff.call("PATCH", place, {"name": "Gadget"}, if_match=etag))
    print("a stale change:", stale.status, stale.reason)
    bad = refused(lambda: staff.call("POST", "/v1/products", {"sku": "", "name": "", "unit_price": price}))
    print("bad fields, all at once:", sorted(bad.fields))


if __name__ == "__main__":
    main()
