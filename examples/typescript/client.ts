// A customer, a product, an order: with fetch, and types made from /openapi.json. PASSWORD is the first administrator's.
import { randomUUID } from "node:crypto";
import type { components } from "./api.js";

type Schemas = components["schemas"];
type Headers = Record<string, string>;

/** An answer that is no success. Branch on `reason`, show `message`. */
class Refused extends Error {
  readonly reason: string;
  constructor(readonly status: number, { error }: Schemas["Error"]) {
    super(error.message);
    this.reason = error.details[0]?.reason ?? error.status;
  }
}

/** Calls as one person, or as nobody. */
class Client {
  private token = "";
  constructor(private readonly api: string) {}

  async call<Answer>(method: string, path: string, body?: object, headers: Headers = {}) {
    const sent: Headers = { ...headers, "content-type": "application/json" };
    if (this.token !== "") {
      sent["authorization"] = `Bearer ${this.token}`;
    }
    const response = await fetch(this.api + path, { method, headers: sent, body: body && JSON.stringify(body) });
    const told: unknown = await response.json();
    if (!response.ok) {
      throw new Refused(response.status, told as Schemas["Error"]);
    }
    return { headers: response.headers, body: told as Answer };
  }

  async logIn(path: string, credentials: Schemas["LoginRequest.Input"] | Schemas["LoginCustomerRequest.Input"]) {
    const { body } = await this.call<{ access_token: string }>("POST", path, credentials);
    this.token = body.access_token;
  }
}

async function refusal(call: Promise<unknown>): Promise<Refused> {
  try {
    await call;
  } catch (refused) {
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

const product: Schemas["Product.Input"] = {
  sku: `W-${unique}`,
  name: "Widget",
  unit_price: { currency_code: "EUR", units: "12" },
  on_hand: "10",
};
const denied = await refusal(customer.call("POST", "/v1/products", product));
console.log("a customer makes no product:", denied.status, denied.reason);
const made = await staff.call<Schemas["Product"]>("POST", "/v1/products", product);
const [place, etag] = [made.headers.get("location") ?? "", made.headers.get("etag") ?? ""];
console.log("staff make one:", place);

const order: Schemas["PlaceOrderRequest.Input"] = { lines: [{ product_id: made.body.id, quantity: "3" }] };
const key = { "idempotency-key": randomUUID() };
const first = await customer.call<Schemas["Order"]>("POST", "/v1/orders", order, key);
const again = await customer.call<Schemas["Order"]>("POST", "/v1/orders", order, key);
const left = await customer.call<Schemas["Product"]>("GET", place);
console.log("ordered twice with one key, one order:", first.body.id === again.body.id, "left:", left.body.available);

await staff.call("PATCH", place, { name: "Gizmo" }, { "if-match": etag });
const stale = await refusal(staff.call("PATCH", place, { name: "Gadget" }, { "if-match": etag }));
console.log("a stale change:", stale.status, stale.reason);
