#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml mounts, in ./secrets, once: nothing that is there is made again.
#
# Compose mounts a file secret with the owner and mode that it has on the host, and the containers run as another user.
# So the files can be read by all, and the folder (0700) keeps them from other users of this host; the services are told
# with MILLGATE_KEYS_PERMISSIONS=unchecked that the mode says nothing here.
set -euo pipefail
folder=${1:-secrets}
umask 022
mkdir -p "$folder"
chmod 0700 "$folder"
cd "$folder"

random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
# make NAME COMMAND...: writes what the command prints to a file that is not there yet. Whole or not at all: half a
# secret of a run that broke off would be kept by the next one.
make() {
  local name=$1
  shift
  if [ -e "$name" ]; then
    echo "kept $folder/$name"
    return
  fi
  "$@" >"$name.new"
  mv "$name.new" "$name"
  echo "made $folder/$name"
}

keys() {
  local id key
  id=$(random)
  key=$(random)
  printf '{"keys":[{"kty":"oct","kid":"%s","alg":"HS256","use":"sig","status":"active","k":"%s"}]}' "${id:0:12}" "$key"
}
database_url() {
  local password
  password=$(cat "$1_db_password")
  printf 'postgres://%s:%s@postgres:5432/%s' "$1" "$password" "$1"
}

make keys.json keys
make auth.secrets random
make factory.secrets random
make factory_client_secret random
make admin_password random
make postgres_password random
make auth_db_password random
make factory_db_password random
make auth_database_url database_url auth
make factory_database_url database_url factory
