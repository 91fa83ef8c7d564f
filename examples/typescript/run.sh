#!/usr/bin/env bash
# Makes the types from the API's own document, checks the client against them, and runs it. First: npm install.
#
#   PASSWORD=... examples/typescript/run.sh [http://127.0.0.1:8080]
set -euo pipefail
cd "$(dirname "$0")"
api=${1:-http://127.0.0.1:8080}
node_modules/.bin/openapi-typescript "$api/openapi.json" --output api.d.ts >/dev/null
node_modules/.bin/tsc
exec node client.js "$api"
