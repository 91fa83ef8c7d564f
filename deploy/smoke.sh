#!/usr/bin/env bash
# Starts a built `millgate` on ports of its own and a fresh data folder, and walks its main job over HTTP:
# register, login, a refused call, a product, an order, the stock that went down, and a clean end on SIGTERM.
#
#   deploy/smoke.sh target/release/millgate
set -euo pipefail
millgate=$(realpath "${1:?usage: deploy/smoke.sh PATH-OF-MILLGATE}")
work=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

fail() { echo "smoke: $1" >&2; tail -n 20 "$work/log" >&2; exit 1; }
# value JSON NAME: the value of a member, wherever it stands first.
value() { sed -n "s/.*\"$2\":\"\{0,1\}\([^\",}]*\).*/\1/p" <<<"$1" | head -n 1; }
# call STATUS METHOD PATH [curl arguments]: prints the body, fails on another status.
call() {
  local expected=$1 method=$2 path=$3 answer
  shift 3
  answer=$(curl -sS -m 20 -w '\n%{http_code}' -X "$method" -H 'content-type: application/json' "$@" "http://$gateway$path")
  [ "${answer##*$'\n'}" = "$expected" ] || fail "$method $path answered ${answer##*$'\n'}, not $expected: ${answer%$'\n'*}"
  printf '%s' "${answer%$'\n'*}"
}

MILLGATE_ADMIN_PASSWORD=$(head -c 18 /dev/urandom | base64 | tr '+/' 'ab')
export MILLGATE_ADMIN_PASSWORD
"$millgate" serve --data-dir "$work/data" --ready-file "$work/ready" \
  --auth-listen 127.0.0.1:0 --factory-listen 127.0.0.1:0 --gateway-listen 127.0.0.1:0 >"$work/log" 2>&1 &
server=$!
for _ in $(seq 200); do
  [ -s "$work/ready" ] && break
  kill -0 "$server" 2>/dev/null || fail "the server ended before it was ready"
  sleep 0.1
done
gateway=$(value "$(cat "$work/ready")" gateway)
[ -n "$gateway" ] || fail "the server did not get ready"

call 401 GET /v1/products >/dev/null
admin=$(value "$(call 200 POST /v1/auth/login -d "{\"username\":\"admin\",\"password\":\"$MILLGATE_ADMIN_PASSWORD\"}")" access_token)
call 201 POST /customers -d '{"first_name":"Ada","last_name":"Mill","email":"ada@example.com","password":"a long enough one"}' >/dev/null
customer=$(value "$(call 200 POST /customers/login -d '{"email":"ada@example.com","password":"a long enough one"}')" token)
call 403 POST /v1/products -H "authorization: Bearer $customer" -d '{"sku":"W-1","name":"Widget"}' >/dev/null
product=$(value "$(call 201 POST /v1/products -H "authorization: Bearer $admin" \
  -d '{"sku":"W-1","name":"Widget","unit_price":{"currency_code":"EUR","units":"12","nanos":500000000},"on_hand":"10"}')" id)
call 201 POST /v1/orders -H "authorization: Bearer $customer" -d "{\"lines\":[{\"product_id\":\"$product\",\"quantity\":\"3\"}]}" >/dev/null
call 400 POST /v1/orders -H "authorization: Bearer $customer" -d "{\"lines\":[{\"product_id\":\"$product\",\"quantity\":\"8\"}]}" >/dev/null
available=$(value "$(call 200 GET "/v1/products/$product" -H "authorization: Bearer $customer")" available)
[ "$available" = 7 ] || fail "7 pieces should be available, not '$available'"

kill -TERM "$server"
wait "$server" || fail "SIGTERM ended the server with status $?"
server=
echo "smoke: register, login, refusal, product, order, stock and shutdown are as they should be"
