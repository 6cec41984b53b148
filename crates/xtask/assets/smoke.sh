# Tries the images in roots of their own, outside containers but in namespaces of their own and without a network:
# each program runs, Postgres makes its database, the API works with both and all of them end on their signals.
roots=$1
ip link set lo up
for root in "$roots"/*; do
  mkdir -p "$root/dev" "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
done

path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin
in_root() { # ROOT [NAME=VALUE]... COMMAND
  root=$1
  shift
  chroot "$roots/$root" /usr/bin/env -i PATH=$path LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data "$@"
}
eventually() { # WHAT COMMAND...
  what=$1 tries=0
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 150 ] || { echo "$what: not within 30 s" >&2; return 1; }
    sleep 0.2
  done
}

in_root busybox sh -c 'test "$(echo hello | sed s/h/j/)" = jello'
in_root debian bash -c 'dpkg-query --status apt >/dev/null && ! ls /var/lib/apt/lists/*_Packages 2>/dev/null'
in_root node docker-entrypoint.sh -e 'process.exit(process.version.startsWith("v20.") ? 0 : 1)'
in_root node npm --version >/dev/null

mkdir -p "$roots/postgres/docker-entrypoint-initdb.d"
echo 'CREATE TABLE seeded AS SELECT 42 AS answer;' >"$roots/postgres/docker-entrypoint-initdb.d/seed.sql"
echo "db.seeded.insertOne({answer: 42})" >"$roots/mongo/docker-entrypoint-initdb.d/seed.js"
echo secret >"$roots/postgres/password"
chroot "$roots/postgres" /usr/bin/env -i PATH=$path LANG=en_US.utf8 PGDATA=/var/lib/postgresql/data \
  POSTGRES_USER=notes POSTGRES_PASSWORD_FILE=/password POSTGRES_DB=notes docker-entrypoint.sh postgres \
  >"$roots/../postgres.log" 2>&1 &
postgres=$!
chroot "$roots/mongo" /usr/bin/env -i PATH=$path MONGO_INITDB_ROOT_USERNAME=root MONGO_INITDB_ROOT_PASSWORD=secret \
  MONGO_INITDB_DATABASE=notes docker-entrypoint.sh mongod >"$roots/../mongo.log" 2>&1 &
mongo=$!

query() { in_root postgres PGPASSWORD=secret psql -qtAX -h 127.0.0.1 -U notes -d notes -c "$1"; }
eventually 'Postgres and its first scripts' query 'SELECT answer FROM seeded'
test "$(query 'SELECT answer FROM seeded')" = 42
test "$(stat -c %u "$roots/postgres/var/lib/postgresql/data/PG_VERSION")" = 999

shell() { in_root mongo mongosh --quiet -u root -p secret notes --eval "$1"; }
eventually 'the MongoDB stand-in and its first scripts' shell 'quit(db.seeded.countDocuments() === 1 ? 0 : 1)'
test "$(stat -c %u "$roots/mongo/data/db/stand-in.log")" = 999

cd /
chroot --userspec=1000:1000 "$roots/nest-api" /usr/bin/env -i PATH=$path PGHOST=127.0.0.1 PGUSER=notes PGPASSWORD=secret \
  PGDATABASE=notes MONGO_URL='mongodb://root:secret@127.0.0.1/notes?authSource=admin' \
  node /app/dist/main.js >"$roots/../api.log" 2>&1 &
api=$!
request() { in_root busybox wget -q -O - "$@"; }
eventually 'the API' request http://127.0.0.1:3000/health
request --header 'content-type: application/json' --post-data '{"text":"from the smoke test"}' http://127.0.0.1:3000/notes
request http://127.0.0.1:3000/notes | grep -q '"text":"from the smoke test".*"audit":.*"action":"created"'

stopped() { # NAME PID SIGNAL
  kill "-$3" "$2"
  status=0
  wait "$2" || status=$?
  echo "$1 ended with $status on SIG$3"
  test $status = 0
}
echo
stopped api $api TERM
stopped postgres $postgres INT
stopped mongo $mongo TERM
