#!/usr/bin/env bash
# A customer, a product, an order: with curl. PASSWORD is the first administrator's.
#
#   PASSWORD=... examples/curl.sh [http://127.0.0.1:8080]
set -euo pipefail
api=${1:-http://127.0.0.1:8080}
: "${PASSWORD:?the first administrator\'s password}"
json='content-type: application/json'
unique="$(date +%s)-$$-$RANDOM"

echo "== a customer registers and logs in"
curl -sS --fail-with-body "$api/customers" -H "$json" \
  -d "{\"name\":\"Ada\",\"email\":\"ada-$unique@example.com\",\"phone\":\"555-0100\",\"password\":\"a long enough one\"}"
customer=$(curl -sS --fail-with-body "$api/customers/login" -H "$json" \
  -d "{\"email\":\"ada-$unique@example.com\",\"password\":\"a long enough one\"}" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')

echo "== staff make a product: 201, with its place and its revision"
staff=$(curl -sS --fail-with-body "$api/v1/auth/login" -H "$json" \
  -d "{\"username\":\"admin\",\"password\":\"$PASSWORD\"}" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
curl -sS --fail-with-body -D "$headers" "$api/v1/products" -H "$json" -H "authorization: Bearer $staff" \
  -d "{\"sku\":\"W-$unique\",\"name\":\"Widget\",\"unit_price\":{\"currency_code\":\"EUR\",\"units\":\"12\"},\"on_hand\":\"10\"}"
header() { tr -d '\r' <"$headers" | sed -n "s/^$1: //Ip"; }
place=$(header location)
etag=$(header etag)
id=${place##*/}

echo "== the customer orders three; the same key again orders nothing more"
key=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)
for _ in first again; do
  curl -sS --fail-with-body "$api/v1/orders" -H "$json" -H "authorization: Bearer $customer" -H "idempotency-key: $key" \
    -d "{\"lines\":[{\"product_id\":\"$id\",\"quantity\":\"3\"}]}"
done
echo "== seven are left"
curl -sS --fail-with-body "$api$place" -H "authorization: Bearer $customer"

echo "== a change, and another by somebody who has not seen it: 200 and 412"
for name in Gizmo Gadget; do
  curl -sS -o /dev/null -w '%{http_code}\n' -X PATCH "$api$place" -H "$json" -H "authorization: Bearer $staff" \
    -H "if-match: $etag" -d "{\"name\":\"$name\"}"
done
