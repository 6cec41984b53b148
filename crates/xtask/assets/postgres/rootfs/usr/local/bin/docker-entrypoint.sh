#!/bin/bash
# Makes the database cluster on first start, then becomes the server.
#
# 1. as root: give the data folder to the user postgres, go on as that user
# 2. an empty data folder: initdb, a server on the unix socket only, the user, the database, the scripts in
#    /docker-entrypoint-initdb.d, that server down again
# 3. exec the command
set -eo pipefail

# The value of a variable, or the content of the file that NAME_FILE names.
from_file() { # NAME [DEFAULT]
  local file_variable=${1}_FILE
  if [ -n "${!1:-}" ] && [ -n "${!file_variable:-}" ]; then
    echo "error: both $1 and $file_variable are set" >&2
    exit 1
  fi
  local value=${!1:-${2:-}}
  [ -z "${!file_variable:-}" ] || value=$(<"${!file_variable}")
  export "$1=$value"
  unset "$file_variable"
}

psql_as_owner() {
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "$@"
}

initialise() {
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    echo 'error: the database is not initialised and POSTGRES_PASSWORD is not set;' >&2
    echo 'set it, or POSTGRES_HOST_AUTH_METHOD=trust to let anyone in without a password' >&2
    exit 1
  fi
  local where=()
  [ -z "$POSTGRES_INITDB_WALDIR" ] || where=(--waldir "$POSTGRES_INITDB_WALDIR")
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD")' \
    '"${where[@]}"' "$POSTGRES_INITDB_ARGS"
  {
    echo
    echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}"
  } >>"$PGDATA/pg_hba.conf"
}

run_scripts() {
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh)
        echo "$0: running $script"
        if [ -x "$script" ]; then "$script"; else . "$script"; fi
        ;;
      *.sql) echo "$0: running $script"; psql_as_owner --dbname "$POSTGRES_DB" -f "$script" ;;
      *.sql.gz) echo "$0: running $script"; gunzip -c "$script" | psql_as_owner --dbname "$POSTGRES_DB" ;;
      *.sql.xz) echo "$0: running $script"; xzcat "$script" | psql_as_owner --dbname "$POSTGRES_DB" ;;
      *) [ ! -e "$script" ] || echo "$0: ignoring $script" ;;
    esac
  done
}

prepare_as_root() {
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA" || true
  find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
  mkdir -p /run/postgresql
  chmod 3777 /run/postgresql
  chown postgres:postgres /run/postgresql || true
  [ -z "$POSTGRES_INITDB_WALDIR" ] || install -d -o postgres -g postgres -m 700 "$POSTGRES_INITDB_WALDIR"
}

main() {
  case ${1:-} in -*) set -- postgres "$@" ;; esac
  if [ "${1:-}" = postgres ] && ! printf '%s\n' "$@" | grep -qxE -e '-\?|--help|-V|--version|--describe-config'; then
    if [ "$(id -u)" = 0 ]; then
      prepare_as_root
      exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$BASH_SOURCE" "$@"
    fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
      echo 'PostgreSQL Database directory appears to contain a database; Skipping initialization'
    else
      from_file POSTGRES_PASSWORD
      from_file POSTGRES_USER postgres
      from_file POSTGRES_DB "$POSTGRES_USER"
      from_file POSTGRES_INITDB_ARGS
      ls /docker-entrypoint-initdb.d/ >/dev/null
      initialise
      export PGPASSWORD=$POSTGRES_PASSWORD
      pg_ctl -D "$PGDATA" -o "$(printf '%q ' "${@:2}" -c listen_addresses= -p "${PGPORT:-5432}")" -w start
      if [ "$POSTGRES_DB" != postgres ]; then
        psql_as_owner --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
      fi
      run_scripts
      pg_ctl -D "$PGDATA" -m fast -w stop
      unset PGPASSWORD
      echo 'PostgreSQL init process complete; ready for start up.'
    fi
  fi
  exec "$@"
}

main "$@"
