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

random() { head -c 32 /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '='; }
# make NAME CONTENT: writes a file that is not there yet.
make() {
  if [ -e "$1" ]; then
    echo "kept $folder/$1"
  else
    printf '%s' "$2" >"$1"
    echo "made $folder/$1"
  fi
}

make keys.json "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"$(random | cut -c 1-12)\",\"alg\":\"HS256\",\"use\":\"sig\",\"status\":\"active\",\"k\":\"$(random)\"}]}"
make auth.secrets "$(random)"
make factory.secrets "$(random)"
make factory_client_secret "$(random)"
make admin_password "$(random)"
make postgres_password "$(random)"
make auth_db_password "$(random)"
make factory_db_password "$(random)"
make auth_database_url "postgres://auth:$(cat auth_db_password)@postgres:5432/auth"
make factory_database_url "postgres://factory:$(cat factory_db_password)@postgres:5432/factory"
