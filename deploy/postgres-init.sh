#!/usr/bin/env bash
# Runs once, when the PostgreSQL container makes its data: a database and a user for each service, who sees only its own.
set -euo pipefail
for service in auth factory; do
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set user="$service" --set password="$(cat "/run/secrets/${service}_db_password")" <<'SQL'
CREATE USER :"user" PASSWORD :'password';
CREATE DATABASE :"user" OWNER :"user";
REVOKE ALL ON DATABASE :"user" FROM PUBLIC;
SQL
done
