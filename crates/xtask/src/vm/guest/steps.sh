#!/bin/sh
# Everything that is done in the guest, told on the second serial line in the form that `results.rs` reads.
PATH=/bin
HOME=/root
NARU_ROOT=/disk/naru
NO_COLOR=1
TERM=dumb
export PATH HOME NARU_ROOT NO_COLOR TERM

folders() {
  mkdir -p /proc /sys /dev /run /tmp /root /etc /disk /var/tmp /usr/bin /sbin
  mount -t proc proc /proc
  mount -t sysfs sys /sys
  mount -t devtmpfs dev /dev
  mkdir -p /dev/pts /dev/shm /dev/mqueue
  mount -t devpts -o mode=620,ptmxmode=666 pts /dev/pts
  mount -t tmpfs -o mode=1777 shm /dev/shm
  mount -t mqueue mqueue /dev/mqueue
  mount -t tmpfs -o mode=755 run /run
  mount -t ext4 /dev/vda /disk
  # Not in memory: before Linux 6.3 a mount of a tmpfs cannot have ids of its own.
  mkdir -p -m 1777 /disk/tmp
  mount --bind /disk/tmp /tmp
  echo 'root:x:0:0:root:/root:/bin/sh' >/etc/passwd
  echo 'root:x:0:' >/etc/group
  echo '127.0.0.1 localhost' >/etc/hosts
  ip link set lo up
}

# How the host's control groups are mounted: as systemd does it on such hosts.
cgroups() {
  if [ "$1" = v2 ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    return
  fi
  mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  for name in $(sed 1d /proc/cgroups | cut -f1); do
    mkdir "/sys/fs/cgroup/$name"
    mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
  done
  mkdir /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
  if [ "$1" = hybrid ]; then
    mkdir /sys/fs/cgroup/unified
    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
  fi
}

word() {
  for word in $(cat /proc/cmdline); do
    case $word in "$1="*) echo "${word#*=}" ;; esac
  done
}

# step NAME COMMAND ARGUMENT…
step() {
  title=$1
  shift
  echo "@step $title"
  begin=$(cut -d. -f1 /proc/uptime)
  "$@"
  code=$?
  echo "@end $title $code $(($(cut -d. -f1 /proc/uptime) - begin))"
}

# each PROGRAM FILTERS ARGUMENT…: the tests of the filters, a word each, or all when there is none.
each() {
  program=$1
  filters=$2
  shift 2
  if [ -z "$filters" ]; then
    "$program" "$@"
    return
  fi
  failed=0
  for filter in $filters; do
    "$program" "$@" "$filter" || failed=$?
  done
  return $failed
}

# What is asked for on the kernel's command line that begins with `oci::`, or that does not.
filters() {
  for filter in $(word naru.filter | tr ',' ' '); do
    case $filter in
      oci::*) if [ "$1" = oci ]; then echo "$filter"; fi ;;
      *) if [ "$1" != oci ]; then echo "$filter"; fi ;;
    esac
  done
}

# Those that count what their process holds need it for themselves: a container host's runner gives each test a process.
kernel_tests() {
  chosen=$(filters)
  if [ -n "$chosen" ]; then
    each kernel "$chosen" --test-threads 1
    return
  fi
  kernel --skip attacks::leaks:: || failed_first=$?
  kernel --test-threads 1 attacks::leaks:: || return
  return ${failed_first:-0}
}

# naru-oci as engines drive it. The guest is the sandbox of these tests: they are told that they are inside of one.
oci_tests() {
  chosen=$(filters oci)
  programs=$(word naru.programs)
  mkdir -p "$programs"
  for name in naru naru-oci naru-check; do ln -sf "/bin/$name" "$programs/$name"; done
  export NARU_TEST_ROLE=inside
  each tests "${chosen:-oci::}" --test-threads 1
  code=$?
  unset NARU_TEST_ROLE
  return $code
}

all_tests() {
  all=$(word naru.filter)
  if [ -z "$all" ] || [ -n "$(filters)" ]; then step "kernel tests" kernel_tests; fi
  if [ -z "$all" ] || [ -n "$(filters oci)" ]; then step "tests of naru-oci" oci_tests; fi
}

# An image of busybox, imported from a root file system.
image() {
  mkdir -p /tmp/image/bin /tmp/image/etc &&
    cp /bin/busybox /tmp/image/bin/ &&
    for name in sh sleep cat; do ln -sf busybox "/tmp/image/bin/$name"; done &&
    tar -C /tmp/image -cf /tmp/image.tar . &&
    naru image import /tmp/image.tar box:1
}

project() {
  mkdir -p "/root/$1"
  cat >"/root/$1/compose.yaml"
  cd "/root/$1" || return
}

fail() {
  echo "$*"
  return 1
}

# Brings a project with limits up, looks at it from inside, and takes it down; only for v2, whose files it names.
small_project() {
  project small <<'END'
services:
  web:
    image: box:1
    command: [sleep, "600"]
    mem_limit: 64m
    memswap_limit: 64m
    cpus: 0.5
    pids_limit: 50
  job:
    image: box:1
    command: [cat, /sys/fs/cgroup/pids.max]
    pids_limit: 33
    depends_on: [web]
END
  naru --ansi never --progress plain up -d || fail "up failed" || return
  [ "$(naru exec -T web cat /sys/fs/cgroup/memory.max)" = 67108864 ] || fail "no memory.max" || return
  [ "$(naru exec -T web cat /sys/fs/cgroup/memory.swap.max)" = 0 ] || fail "no memory.swap.max" || return
  [ "$(naru exec -T web cat /sys/fs/cgroup/cpu.max)" = "50000 100000" ] || fail "no cpu.max" || return
  [ "$(naru exec -T web cat /sys/fs/cgroup/pids.max)" = 50 ] || fail "no pids.max" || return
  naru logs job | grep -q 33 || fail "job did not say 33: $(naru logs job)" || return
  naru --ansi never --progress plain down || fail "down failed" || return
  # The project's keeper ends a moment after the command.
  for _ in $(seq 100); do
    [ -e /sys/fs/cgroup/naru ] || return 0
    sleep 0.1
  done
  fail "left: $(find /sys/fs/cgroup/naru -type d)"
}

# Networks of links on an interface of the host: test machines' kernels often have no ipvlan and no VLANs.
links_on_a_parent() {
  ip link add name host0 type veth || fail "no veth" || return
  for link in $(ls /sys/class/net); do ip link set "$link" up; done
  for options in 'macvlan parent host0' 'macvlan parent host0.50' 'ipvlan parent host0' 'ipvlan ipvlan_mode l2' \
    'ipvlan ipvlan_mode l3' 'ipvlan ipvlan_mode l3s'; do
    set -- $options
    project lan <<END
services:
  web: { image: "box:1", command: [busybox, nc, -ll, -p, "80", -e, "true"], networks: { lan: { ipv4_address: 10.44.0.7 } } }
  client: { image: "box:1", command: [sleep, "600"], networks: [lan] }
networks:
  lan:
    driver: $1
    driver_opts: { $2: $3 }
    ipam: { config: [{ subnet: 10.44.0.0/24 }] }
END
    naru --ansi never --progress plain up -d || fail "up with $options" || return
    for _ in $(seq 50); do
      if naru exec -T client busybox nc -w 2 web 80 </dev/null; then reached=yes; break; fi
      reached=no
      sleep 0.1
    done
    [ "$reached" = yes ] || fail "web is not reached with $options" || return
    naru --ansi never --progress plain down || fail "down with $options" || return
    left=$(ip -o link | grep -E 'host0\.50|nb-|nf-')
    [ -z "$left" ] || fail "left with $options: $left" || return
  done
  ip link delete host0
}

survivor() {
  project survivor <<'END'
services:
  once:
    image: box:1
    command: [sleep, "600"]
  always:
    image: box:1
    command: [sleep, "600"]
    restart: unless-stopped
END
}

# Leaves a project running when the power goes.
before_the_power_goes() {
  survivor && naru --ansi never --progress plain up -d && [ "$(naru ps -q | wc -l)" = 2 ] || fail "not two containers: $(naru ps -a)"
}

# Records of an earlier boot are not taken for running containers, and the project can be used again.
after_the_power_went() {
  survivor
  [ -z "$(naru ps -q)" ] || fail "running after a reboot: $(naru ps -a)" || return
  naru ps -a
  naru --ansi never --progress plain up -d || fail "up failed" || return
  [ "$(naru ps -q | wc -l)" = 2 ] || fail "not two containers: $(naru ps -a)" || return
  naru --ansi never --progress plain down || fail "down failed" || return
  [ -z "$(naru ps -aq)" ] || fail "left: $(naru ps -a)"
}

. /supervision

folders
cgroups "$(word naru.cgroups)"
exec </dev/null >/dev/ttyS1 2>&1
stage=$(word naru.stage)
echo "Linux $(uname -r), control groups: $(cat /sys/fs/cgroup/cgroup.controllers 2>/dev/null || ls /sys/fs/cgroup | tr '\n' ' ')"
case $stage in
  tests) all_tests ;;
  tests+project)
    all_tests
    step "an image" image
    step "networks of links on an interface" links_on_a_parent
    if [ "$(word naru.cgroups)" = v2 ]; then step "a project with limits" small_project; fi
    step "a project that is running when the power goes" before_the_power_goes
    ;;
  supervision) supervision ;;
  boot) step "a boot" boot ;;
  after) step "a project after the power went" after_the_power_went ;;
  *) echo "@end no stage is called $stage 1 0" ;;
esac
echo @done
# No clean shutdown: this is how the power goes. The last words are given time to leave.
sleep 0.2
echo 1 >/proc/sys/kernel/sysrq
echo b >/proc/sysrq-trigger
sleep 60
