# What only a machine of its own can show of supervision: clocks that are set, process ids that come back, a boot. Read by
# `steps`; each check is told as a test.

naru_quiet() {
  naru --ansi never --progress plain "$@"
}

# check NAME COMMAND ARGUMENT…
check() {
  name=$1
  shift
  if "$@"; then
    echo "test supervision::$name ... ok"
    return 0
  fi
  echo "test supervision::$name ... FAILED"
  return 1
}

# until SECONDS COMMAND ARGUMENT…: by the clock that nobody sets
until_true() {
  limit=$(($(cut -d. -f1 /proc/uptime) + $1))
  shift
  until "$@"; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt "$limit" ] || return 1
    sleep 0.3
  done
}

# with_words TEXT: the processes whose command line holds it
with_words() {
  for folder in /proc/[0-9]*; do
    # One that ends meanwhile has none.
    case $(tr '\0' ' ' <"$folder/cmdline") in *"$1"*) echo "${folder#/proc/}" ;; esac
  done 2>/dev/null
}

clocks() {
  project clocks <<'END_OF_FILE'
services:
  checked:
    image: box:1
    command: [sleep, "6000"]
    healthcheck: {test: [CMD, sh, -c, 'echo looked'], interval: 1s, timeout: 20s, retries: 2}
  returns:
    image: box:1
    restart: always
    command: [sh, -c, 'echo started; sleep 1']
  counts:
    image: box:1
    command: [sh, -c, 'i=0; while :; do i=$$((i+1)); echo $$i; sleep 0.2; done']
END_OF_FILE
}

health() { naru ps --format json checked | grep -q "\"Health\":\"$1\""; }
starts() { naru logs --no-log-prefix returns | grep -c started; }
lines() { naru logs --no-log-prefix counts | wc -l; }
more_starts() { [ "$(starts)" -ge "$1" ]; }
more_lines() { [ "$(lines)" -ge "$1" ]; }

# After the clock was set: checks, restarts and output go on at their pace, and nothing that waited is lost or doubled.
goes_on() {
  starts=$(starts)
  lines=$(lines)
  sleep 3
  # Three seconds are three restarts or fewer: a clock that was set forward makes nothing due.
  [ "$(starts)" -le $((starts + 5)) ] || fail "$starts starts became $(starts)" || return
  until_true 60 more_starts $((starts + 2)) || fail "no further start: $(naru ps -a)" || return
  until_true 60 more_lines $((lines + 5)) || fail "no further line" || return
  health healthy || fail "not healthy: $(naru ps -a)" || return
}

in_order() {
  naru logs --no-log-prefix counts >/tmp/lines
  # Each number once and in its order, whatever the times beside them say.
  seq "$(wc -l </tmp/lines)" | cmp - /tmp/lines || fail "$(tail -n 20 /tmp/lines)"
}

follower_saw_all() {
  until_true 60 more_than_seen || fail "the follower stands still at $(tail -n 1 /tmp/followed)" || return
  seq "$(wc -l </tmp/followed)" | head -n -1 >/tmp/expected
  head -n -1 /tmp/followed | cmp - /tmp/expected || fail "$(tail -n 20 /tmp/followed)"
}

more_than_seen() { [ "$(wc -l </tmp/followed)" -ge "$(($(lines) - 3))" ]; }

clocks_that_jump() {
  clocks && naru_quiet up -d || fail "up failed" || return
  until_true 60 health healthy || fail "never healthy" || return
  until_true 60 more_starts 2 || fail "never started again" || return
  naru logs -f --no-log-prefix counts >/tmp/followed &
  follower=$!
  failed=0
  now=$(date +%s)
  date -s "@$((now + 7200))" >/dev/null
  check a_clock_that_is_set_two_hours_forward_makes_nothing_due goes_on || failed=1
  naru_quiet stop -t 0 returns && naru_quiet start returns || failed=1
  date -s "@$((now - 7200))" >/dev/null
  check a_clock_that_is_set_four_hours_back_delays_nothing goes_on || failed=1
  check lines_stay_in_their_order_when_the_clock_is_set in_order || failed=1
  check who_follows_sees_all_lines_in_order_when_the_clock_is_set follower_saw_all || failed=1
  kill $follower
  check what_runs_stops_in_its_time_when_the_clock_was_set naru_quiet down -t 1 || failed=1
  date -s "@$((now + 60))" >/dev/null
  return $failed
}

# The container's process id belongs to somebody else by now.
stranger() {
  naru ps -a --format json a | grep -q '"State":"exited"' || fail "taken for the container: $(naru ps -a)" || return
  naru_quiet up -d || fail "up failed" || return
  naru_quiet stop -t 1 || fail "stop failed" || return
  naru_quiet down || fail "down failed" || return
  kill -0 "$1" || fail "the stranger was ended"
}

pids_that_come_back() {
  project reuse <<'END_OF_FILE'
services:
  a:
    image: box:1
    command: [sleep, "6001"]
END_OF_FILE
  # The smallest that the kernel takes with room for all: the numbers begin anew soon, above the first 300.
  echo 1024 >/proc/sys/kernel/pid_max || return
  while sh -c 'exit $(($$ < 310))'; [ $? = 1 ]; do :; done
  naru_quiet up -d || fail "up failed" || return
  container=$(with_words 'sleep 6001')
  [ -n "$container" ] || fail "the container has no process" || return
  # Both, so that nobody sees the container end.
  supervisor=$(with_words supervisor:)
  kill -STOP $supervisor
  kill -KILL $(with_words keeper:) $supervisor
  kill -KILL "$container"
  tries=0
  while :; do
    sleep 6002 &
    [ $! != "$container" ] || break
    kill -KILL $!
    wait $! 2>/dev/null
    tries=$((tries + 1))
    [ $tries -lt 4000 ] || fail "no process got the number $container" || return
  done
  echo "process $container is another one after $tries others"
  check a_process_that_has_a_containers_old_number_is_left_alone stranger "$container"
  code=$?
  kill -KILL "$container"
  return $code
}

shop() {
  project shop <<'END_OF_FILE'
services:
  db:
    image: box:1
    restart: always
    volumes: ['data:/data']
    command: [sh, -c, 'busybox rm -f /data/ready; sleep 2; echo >/data/ready; sleep 6003']
    healthcheck: {test: [CMD, test, -e, /data/ready], interval: 1s, timeout: 20s, retries: 60}
  web:
    image: box:1
    restart: unless-stopped
    volumes: ['data:/data']
    depends_on: {db: {condition: service_healthy}}
    command: [sh, -c, 'test -e /data/ready && echo after the database; sleep 6004']
  picky: {image: 'box:1', command: [sleep, "6005"], restart: unless-stopped}
  plain: {image: 'box:1', command: [sleep, "6006"]}
volumes: {data: {}}
END_OF_FILE
}

before_the_boot() {
  shop && naru_quiet up -d && naru_quiet stop -t 0 picky || fail "$(naru ps -a)"
}

runs() { [ "$(naru ps --services | tr '\n' ' ')" = "$1" ]; }
told_in_order() { naru logs --no-log-prefix web | grep -q 'after the database'; }

boot() {
  shop
  check nothing_is_said_to_run_that_ran_before_the_boot runs "" || return
  naru_quiet system boot run || fail "boot run failed: $(naru ps -a)" || return
  check a_boot_brings_back_what_the_policies_say runs "db web " || fail "$(naru ps -a)" || return
  check dependencies_come_back_first until_true 20 told_in_order || return
  naru_quiet down -v -t 1
}

small_image() {
  mkdir -p /tmp/image/bin /tmp/image/etc &&
    cp /bin/busybox /tmp/image/bin/ &&
    for name in sh sleep cat test; do ln -sf busybox "/tmp/image/bin/$name"; done &&
    tar -C /tmp/image -cf /tmp/image.tar . &&
    naru image import /tmp/image.tar box:1
}

supervision() {
  step "an image" small_image
  step "clocks that jump" clocks_that_jump
  step "process ids that come back" pids_that_come_back
  step "a project before a boot" before_the_boot
}
