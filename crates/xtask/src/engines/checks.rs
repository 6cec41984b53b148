//! What both engines are asked to do with `naru-oci`: shell scripts in which `$E` is the engine's command.

/// One question to an engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    /// What is looked at.
    pub(super) name: &'static str,
    /// The script; `$E` is the engine, `busybox` the image.
    pub(super) script: &'static str,
    /// Its exit code.
    pub(super) code: i32,
    /// What its output has in it.
    pub(super) output: &'static str,
    /// Only for this engine.
    pub(super) only: Option<&'static str>,
}

const fn check(name: &'static str, script: &'static str, code: i32, output: &'static str) -> Check {
    Check { name, script, code, output, only: None }
}

const fn docker(
    name: &'static str,
    script: &'static str,
    code: i32,
    output: &'static str,
) -> Check {
    Check { name, script, code, output, only: Some("docker") }
}

const fn podman(
    name: &'static str,
    script: &'static str,
    code: i32,
    output: &'static str,
) -> Check {
    Check { name, script, code, output, only: Some("podman") }
}

/// A service manager's socket, and a container that says that it is ready.
const READY: &str = r#"
    rm -f /tmp/manager
    python3 -c '
import socket
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("/tmp/manager")
manager.settimeout(40)
heard = ""
while "READY=1" not in heard:
    heard += manager.recv(4096).decode() + "\n"
print(heard)
' &
    until [ -S /tmp/manager ]; do sleep 0.1; done
    NOTIFY_SOCKET=/tmp/manager $E run -d --name ready --sdnotify=container $N \
        -v /share/engines/naru-check:/bin/naru-check:ro \
        busybox sh -c '/bin/naru-check notify READY=1; exec sleep 1000'
    wait
    $E rm -f -t 0 ready
"#;

/// In this order: some use what those before them made.
pub(super) const CHECKS: &[Check] = &[
    check("run", "$E run --rm $N busybox echo hello", 0, "hello"),
    check("exit code", "$E run --rm $N busybox sh -c 'exit 42'", 42, ""),
    check("no such command: 127", "$E run --rm $N busybox nothing", 127, ""),
    check("no program: 126", "$E run --rm $N busybox /etc/passwd", 126, ""),
    check("stdin", "echo through | $E run --rm -i $N busybox cat", 0, "through"),
    check(
        "-it",
        "script -qec \"$E run --rm -it $N busybox sh -c 'tty; exit 3'\" /dev/null </dev/null",
        3,
        "/dev/pts/",
    ),
    check(
        "run -d --memory --pids-limit",
        "$E run -d --name one $N --memory 64m --pids-limit 50 busybox sleep 1000",
        0,
        "",
    ),
    check(
        "the limits are seen inside",
        "$E exec one sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max'",
        0,
        "67108864\n50",
    ),
    check(
        "exec, user, folder, environment",
        "$E exec -u 1000 -w /tmp -e X=y one sh -c 'echo $(pwd) $(id -u) $X'",
        0,
        "/tmp 1000 y",
    ),
    check("exec, exit code", "$E exec one sh -c 'exit 7'", 7, ""),
    check("exec, no such command: 127", "$E exec one nothing", 127, ""),
    check("exec -it", "script -qec \"$E exec -it one tty\" /dev/null </dev/null", 0, "/dev/pts/"),
    check(
        "exec -d",
        "$E exec -d one sh -c 'echo done > /tmp/mark' && sleep 1 && $E exec one cat /tmp/mark",
        0,
        "done",
    ),
    check("pause", "$E pause one && $E ps -a --format '{{.Status}}'", 0, "Paused"),
    check("unpause", "$E unpause one && $E exec one echo on", 0, "on"),
    check("stats", "$E stats --no-stream one", 0, "one"),
    check("top", "$E top one", 0, "sleep"),
    check(
        "update",
        "$E update --memory 128m --memory-swap 256m one && $E exec one cat /sys/fs/cgroup/memory/memory.limit_in_bytes",
        0,
        "134217728",
    ),
    check(
        "kill with a signal that is not heard",
        "$E kill -s USR1 one && $E exec one echo alive",
        0,
        "alive",
    ),
    check(
        "stop",
        "$E stop -t 1 one && $E inspect --format '{{.State.ExitCode}} {{.State.Status}}' one",
        0,
        "137 exited",
    ),
    check("start again", "$E start one && $E exec one echo again", 0, "again"),
    check("restart", "$E restart -t 1 one && $E exec one echo again", 0, "again"),
    check(
        "kill",
        "$E kill one && sleep 1 && $E inspect --format '{{.State.ExitCode}}' one",
        0,
        "137",
    ),
    check(
        "rm -f of a running container",
        "$E start one && $E rm -f -t 0 one || $E rm -f one",
        0,
        "one",
    ),
    check(
        "stop signal and exit code of a handler",
        "$E run -d --name two $N busybox sh -c 'trap \"exit 9\" TERM; while :; do sleep 0.1; done' && sleep 1 && $E stop two && $E inspect --format '{{.State.ExitCode}}' two; $E rm -f two",
        0,
        "9",
    ),
    check(
        "out of memory is told",
        "$E run --name oom $N -m 20m --memory-swap 20m busybox tail /dev/zero; $E inspect --format '{{.State.ExitCode}} {{.State.OOMKilled}}' oom; $E rm -f oom",
        0,
        "137 true",
    ),
    docker("--init", "$E run --rm --init $N busybox sh -c 'exit 5'", 5, ""),
    check("--read-only", "$E run --rm --read-only $N busybox touch /x", 1, "Read-only"),
    check(
        "--tmpfs",
        "$E run --rm --read-only --tmpfs /scratch:size=1m $N busybox sh -c 'touch /scratch/x && df /scratch'",
        0,
        "1024",
    ),
    check(
        "--device",
        "$E run --rm --device /dev/null:/dev/mine:r $N busybox sh -c 'cat /dev/mine && ls /dev/mine'",
        0,
        "/dev/mine",
    ),
    check(
        "--user, pipes can be opened again",
        "$E run --rm --user 1000:1000 $N busybox sh -c 'id -u; echo ok > /dev/stdout'",
        0,
        "1000\nok",
    ),
    check("--group-add", "$E run --rm --group-add 55 $N busybox id -G", 0, "55"),
    check(
        "--cap-add, --cap-drop",
        "$E run --rm --cap-drop ALL --cap-add NET_ADMIN $N busybox grep CapEff /proc/self/status",
        0,
        "0000000000001000",
    ),
    check(
        "--privileged",
        "$E run --rm --privileged $N busybox sh -c 'mount -t tmpfs x /tmp && echo mounted'",
        0,
        "mounted",
    ),
    check(
        "no-new-privileges",
        "$E run --rm --security-opt no-new-privileges $N busybox grep NoNewPrivs /proc/self/status",
        0,
        "1",
    ),
    check(
        "seccomp=unconfined",
        "$E run --rm --security-opt seccomp=unconfined $N busybox grep Seccomp: /proc/self/status",
        0,
        "0",
    ),
    check(
        "--sysctl",
        "$E run --rm $N --sysctl net.ipv4.ip_forward=1 busybox cat /proc/sys/net/ipv4/ip_forward",
        0,
        "1",
    ),
    check(
        "--ulimit",
        "$E run --rm --ulimit nofile=123:456 $N busybox sh -c 'ulimit -n; ulimit -Hn'",
        0,
        "123\n456",
    ),
    check(
        "--oom-score-adj",
        "$E run --rm --oom-score-adj 500 $N busybox cat /proc/self/oom_score_adj",
        0,
        "500",
    ),
    check("--shm-size", "$E run --rm --shm-size 2m $N busybox df /dev/shm", 0, "2048"),
    check("--hostname", "$E run --rm --hostname here $N busybox hostname", 0, "here"),
    docker("-w makes the folder", "$E run --rm -w /new/folder $N busybox pwd", 0, "/new/folder"),
    check("-v, read-only", "$E run --rm -v /tmp:/mnt:ro $N busybox touch /mnt/x", 1, "Read-only"),
    check(
        "volume",
        "$E run --rm -v data:/data $N busybox sh -c 'echo kept > /data/f; cat /data/f'",
        0,
        "kept",
    ),
    check(
        "--cpus, --cpu-shares",
        "$E run --rm --cpus 0.5 --cpu-shares 512 $N busybox sh -c 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.shares'",
        0,
        "50000\n512",
    ),
    check(
        "--cgroupns private",
        "$E run --rm --cgroupns private $N busybox cat /proc/self/cgroup",
        0,
        "pids:/\n",
    ),
    check("--network host", "$E run --rm --network host busybox ls /sys/class/net", 0, "lo"),
    check(
        "--pid=container:",
        "$E run -d --name three $N busybox sleep 777 && $E run --rm --pid container:three $N busybox ps; $E rm -f three",
        0,
        "sleep 777",
    ),
    check(
        "--network container:",
        "$E run -d --name four $N busybox sleep 777 && $E run --rm --network container:four busybox echo joined; $E rm -f four",
        0,
        "joined",
    ),
    check("--pid host", "$E run --rm --pid host $N busybox sh -c 'ps | grep -c kthreadd'", 0, ""),
    docker(
        "health check",
        "$E run -d --name well --health-cmd true --health-interval 1s $N busybox sleep 1000 && sleep 3 && $E inspect --format '{{.State.Health.Status}}' well; $E rm -f well",
        0,
        "healthy",
    ),
    podman(
        "--userns",
        "$E run --rm --uidmap 0:100000:1000 --gidmap 0:100000:1000 $N busybox cat /proc/self/uid_map",
        0,
        "100000",
    ),
    podman("--sdnotify=container", READY, 0, "READY=1"),
    docker("the version is read", "$E version", 0, "tested:"),
    podman(
        "the version is read",
        "$E info --format '{{.Host.OCIRuntime.Version}}'",
        0,
        "naru-oci version",
    ),
];
