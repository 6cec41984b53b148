#!/bin/bash
# Runs mongod as the user mongodb; on first start also the scripts in /docker-entrypoint-initdb.d.
set -eo pipefail

# Scripts see a server that only this container can reach and that lets everybody in.
run_scripts() {
  mongod --bind_ip 127.0.0.1 --quiet &
  local server=$! script tries=0
  until mongosh --quiet --eval 'db.adminCommand("ping")' >/dev/null 2>&1; do
    ((++tries < 100)) || { echo 'the server for the first scripts does not answer' >&2; exit 1; }
    sleep 0.1
  done
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh) echo "$0: running $script"; . "$script" ;;
      *.js) echo "$0: running $script"; mongosh --quiet "$MONGO_INITDB_DATABASE" "$script" ;;
      *) [ ! -e "$script" ] || echo "$0: ignoring $script" ;;
    esac
  done
  kill "$server"
  wait "$server"
}

case ${1:-} in -*) set -- mongod "$@" ;; esac
if [ "$1" = mongod ]; then
  if [ "$(id -u)" = 0 ]; then
    find /data/db /data/configdb \! -user mongodb -exec chown mongodb '{}' +
    exec setpriv --reuid=mongodb --regid=mongodb --init-groups -- "$BASH_SOURCE" "$@"
  fi
  export MONGO_INITDB_DATABASE=${MONGO_INITDB_DATABASE:-test}
  if [ ! -e /data/db/stand-in.log ] && [ -n "$(ls -A /docker-entrypoint-initdb.d)" ]; then
    run_scripts
  fi
  if [ -n "$MONGO_INITDB_ROOT_USERNAME$MONGO_INITDB_ROOT_USERNAME_FILE" ]; then set -- "$@" --auth; fi
  case " $* " in *' --bind_ip'*) ;; *) set -- "$@" --bind_ip_all ;; esac
fi
exec "$@"
