// A customer, a product, an order: with fetch, and types made from /openapi.json. PASSWORD is the first administrator's.
import { randomUUID } from "node:crypto";
/** An answer that is no success. Branch on `reason`, show `message`. */
class Refused extends Error {
    status;
    reason;
    constructor(status, { error }) {
        super(error.message);
        this.status = status;
        this.reason = error.details[0]?.reason ?? error.status;
    }
}
/** Calls as one person, or as nobody. */
class Client {
    api;
    token = "";
    constructor(api) {
        this.api = api;
    }
    async call(method, path, body, headers = {}) {
        const sent = { ...headers, "content-type": "application/json" };
        if (this.token !== "") {
            sent["authorization"] = `Bearer ${this.token}`;
        }
        const response = await fetch(this.api + path, { method, headers: sent, body: body && JSON.stringify(body) });
        const told = await response.json();
        if (!response.ok) {
            throw new Refused(response.status, told);
        }
        return { headers: response.headers, body: told };
    }
    async logIn(path, credentials) {
        const { body } = await this.call("POST", path, credentials);
        this.token = body.access_token;
    }
}
async function refusal(call) {
    try {
        await call;
    }
    catch (refused) {
        if (refused instanceof Refused) {
            return refused;
        }
        throw refused;
    }
    throw new Error("this should have been refused");
}
const api = process.argv[2] ?? "http://127.0.0.1:8080";
const unique = randomUUID();
const [customer, staff] = [new Client(api), new Client(api)];
const login = { email: `ada-${unique}@example.com`, password: "a long enough one" };
await customer.call("POST", "/customers", { name: "Ada", phone: "555-0100", ...login });
await customer.logIn("/customers/login", login);
await staff.logIn("/v1/auth/login", { username: "admin", password: process.env["PASSWORD"] ?? "" });
const product = {
    sku: `W-${unique}`,
    name: "Widget",
    unit_price: { currency_code: "EUR", units: "12" },
    on_hand: "10",
};
const denied = await refusal(customer.call("POST", "/v1/products", product));
console.log("a customer makes no product:", denied.status, denied.reason);
const made = await staff.call("POST", "/v1/products", product);
const [place, etag] = [made.headers.get("location") ?? "", made.headers.get("etag") ?? ""];
console.log("staff make one:", place);
const order = { lines: [{ product_id: made.body.id, quantity: "3" }] };
const key = { "idempotency-key": randomUUID() };
const first = await customer.call("POST", "/v1/orders", order, key);
const again = await customer.call("POST", "/v1/orders", order, key);
const left = await customer.call("GET", place);
console.log("ordered twice with one key, one order:", first.body.id === again.body.id, "left:", left.body.available);
await staff.call("PATCH", place, { name: "Gizmo" }, { "if-match": etag });
const stale = await refusal(staff.call("PATCH", place, { name: "Gadget" }, { "if-match": etag }));
console.log("a stale change:", stale.status, stale.reason);
