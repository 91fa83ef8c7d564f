#!/usr/bin/env bash
# Starts a built `millgate` on ports of its own and a fresh data folder, and lets schemathesis (PyPI) hold what it
# answers against what /openapi.json says, called by the administrator: an undocumented status, a body that is not of its
# schema, a server error or bad data that is taken fails.
#
#   gateway/second-opinions/schemathesis.sh target/release/millgate [more arguments of `schemathesis run`]
set -euo pipefail
millgate=$(realpath "${1:?usage: $0 PATH-OF-MILLGATE}")
shift
config=$(realpath "$(dirname "$0")/schemathesis.toml")
work=$(mktemp -d)
# What it remembers of a run is not for the next one.
cd "$work"
server=
cleanup() {
  [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "schemathesis: $1" >&2; tail -n 20 "$work/log" >&2; exit 1; }

MILLGATE_ADMIN_PASSWORD=$(head -c 18 /dev/urandom | base64 | tr '+/' 'ab')
export MILLGATE_ADMIN_PASSWORD
export NO_PROXY='*' no_proxy='*'
# What is measured is the contract, not the throttles.
GATEWAY_REQUESTS_PER_SECOND=0 "$millgate" serve --data-dir "$work/data" --ready-file "$work/ready" \
  --calls-per-second 0 --logins-per-minute 0 \
  --auth-listen 127.0.0.1:0 --factory-listen 127.0.0.1:0 --gateway-listen 127.0.0.1:0 >"$work/log" 2>&1 &
server=$!
for _ in $(seq 300); do
  [ -s "$work/ready" ] && break
  kill -0 "$server" 2>/dev/null || fail "the server ended before it was ready"
  sleep 0.1
done
gateway=$(sed -n 's/.*"gateway":"\([^"]*\)".*/\1/p' "$work/ready")
[ -n "$gateway" ] || fail "the server did not get ready"
token=$(curl -sS --fail-with-body "http://$gateway/v1/auth/login" -H 'content-type: application/json' \
  -d "{\"username\":\"admin\",\"password\":\"$MILLGATE_ADMIN_PASSWORD\"}" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')

# The examples of the document ask for the 7th of everything.
post() {
  curl -sS --fail-with-body -o /dev/null "http://$gateway$1" -H 'content-type: application/json' -H "authorization: Bearer $token" -d "$2"
}
for number in 1 2 3 4 5 6 7; do
  post /register "{\"username\":\"person-$number\",\"password\":\"violet kettle 42 orbit\"}"
  post /v1/customers "{\"name\":\"Ada\",\"email\":\"customer-$number@example.com\"}"
  post /v1/products "{\"sku\":\"W-$number\",\"name\":\"Widget\",\"unit_price\":{\"currency_code\":\"EUR\",\"units\":\"12\"},\"on_hand\":\"100\"}"
  post /v1/orders "{\"customer_id\":\"$number\",\"lines\":[{\"product_id\":\"$number\",\"quantity\":\"1\"}]}"
done

# Who runs it is another administrator than the first, with an id that is hardly guessed: to be disabled would end the run.
runner='{"username":"runner","password":"violet kettle 42 orbit"}'
for number in 8 9 10 11 12; do post /register "{\"username\":\"person-$number\",\"password\":\"violet kettle 42 orbit\"}"; done
id=$(curl -sS --fail-with-body "http://$gateway/register" -H 'content-type: application/json' -d "$runner" |
  sed -n 's/.*"user":{"id":"\([0-9]*\)".*/\1/p')
post "/v1/users/$id:setRole" '{"role":"ROLE_ADMIN"}'
token=$(curl -sS --fail-with-body "http://$gateway/v1/auth/login" -H 'content-type: application/json' -d "$runner" |
  sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')

TOKEN=$token schemathesis --config-file "$config" run "http://$gateway/openapi.json" "$@"
kill -0 "$server" 2>/dev/null || fail "the server did not outlive it"
# Else most of it was asked by nobody, and refused as such.
curl -sS --fail-with-body -o /dev/null "http://$gateway/v1/me" -H "authorization: Bearer $token" ||
  fail "the one who ran it was locked out on the way"
