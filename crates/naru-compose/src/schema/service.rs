//! The attributes of a service, but for `build` and `deploy`.

use super::build::BUILD;
use super::deploy::{DEPLOY, DEVICE_REQUESTS};
use super::naru;
use super::parts::{
    ATTACHMENT, BLKIO, CREDENTIAL_SPEC, DEPENDENCY, DEVELOP, DEVICE, ENV_FILE, EXTENDS,
    HEALTHCHECK, HOOK, LOGGING, MODEL_REFERENCE, MOUNT, PORT, PRE_START, PROVIDER,
};
use super::shape::{COMMAND, FILE_REFERENCES, HOSTS, Object, PAIRS, Shape, TEXTS, ULIMITS, WORDS};

use Shape::{
    Boolean, Bytes, Flag, Integer, List, LooseBytes, Map, Matching, Number, OneOf, Optional,
    Period, Set, Text, TextOrInteger, Token, Whole, Within, Words,
};

/// A service.
pub(crate) static SERVICE: Object = Object {
    name: "a service",
    fields: &[
        ("annotations", PAIRS, "Annotations of the container."),
        ("attach", Flag, "Whether `up` shows the service's output; it does when absent."),
        ("blkio_config", Shape::Object(&BLKIO), "Limits on block I/O."),
        ("build", OneOf(&[Text, Shape::Object(&BUILD)]), "How its image is built."),
        ("cap_add", WORDS, "Capabilities to add, with or without `CAP_`."),
        ("cap_drop", WORDS, "Capabilities to take away, with or without `CAP_`."),
        ("cgroup", Words(&["host", "private"]), "`host` or `private`: the cgroup namespace."),
        ("cgroup_parent", Text, "cgroup that the container's own is made in."),
        (
            "command",
            COMMAND,
            "Arguments in place of the image's: a line, which is split into words, or a list; `[]` for none.",
        ),
        ("configs", FILE_REFERENCES, "Configs it sees as files."),
        ("container_name", CONTAINER_NAME, "Name of its only container."),
        ("cpu_count", Integer, "Number of processors; Windows only."),
        ("cpu_percent", Within(0, 100), "Share of the processors in percent; Windows only."),
        ("cpu_period", Whole, "Period of the scheduler in microseconds; 0 means not set."),
        ("cpu_quota", Whole, "Time per period in microseconds; 0 means not set."),
        (
            "cpu_rt_period",
            Whole,
            "Period of the real-time scheduler in microseconds; 0 means not set.",
        ),
        ("cpu_rt_runtime", Whole, "Real-time time per period in microseconds; 0 means not set."),
        (
            "cpu_shares",
            Whole,
            "Relative weight on the processors (1024 is normal); 0 means not set.",
        ),
        ("cpus", Number, "Number of processors; 0 means not set."),
        ("cpuset", Text, "Processors it may run on, such as `0-3` or `0,1`."),
        (
            "credential_spec",
            Shape::Object(&CREDENTIAL_SPEC),
            "Credentials of a managed service account of Windows.",
        ),
        (
            "depends_on",
            OneOf(&[WORDS, Map(&Shape::Object(&DEPENDENCY))]),
            "What it waits for, by service.",
        ),
        (
            "deploy",
            Optional(&Shape::Object(&DEPLOY)),
            "How many containers, and what they may use.",
        ),
        ("develop", Optional(&Shape::Object(&DEVELOP)), "What `watch` does for it."),
        ("device_cgroup_rules", WORDS, "Rules of the device cgroup, such as `c 1:3 mr`."),
        ("devices", List(&OneOf(&[Text, Shape::Object(&DEVICE)])), "Devices of the host."),
        ("dns", TEXTS, "Addresses of DNS servers."),
        ("dns_opt", WORDS, "Options for the resolver."),
        ("dns_search", TEXTS, "Domains to search."),
        ("domainname", Text, "Domain name of the container."),
        (
            "entrypoint",
            COMMAND,
            "Program in place of the image's: a line, which is split into words, or a list; `[]` for none.",
        ),
        (
            "env_file",
            OneOf(&[Text, List(&OneOf(&[Text, Shape::Object(&ENV_FILE)]))]),
            "Files with further variables; `environment` wins over them.",
        ),
        (
            "environment",
            PAIRS,
            "Environment; a variable without a value is not set. `env_file` is folded in.",
        ),
        ("expose", Set(&Token), "Ports open to other containers, for information."),
        (
            "extends",
            OneOf(&[Text, Shape::Object(&EXTENDS)]),
            "Another service that this one says only the differences to: its name, or `service` and `file`.",
        ),
        ("external_links", WORDS, "Containers outside the project that it knows by name."),
        ("extra_hosts", HOSTS, "Names for its `/etc/hosts`."),
        ("gpus", OneOf(&[Words(&["all"]), DEVICE_REQUESTS]), "GPUs."),
        ("group_add", Set(&Token), "Further groups of the process, by name or number."),
        (
            "healthcheck",
            Shape::Object(&HEALTHCHECK),
            "How its health is found out; by the image's own check when absent.",
        ),
        ("hostname", Text, "Host name; the container's id when empty."),
        ("image", Text, "Image to run."),
        (
            "init",
            Flag,
            "Whether a small init is process 1, which reaps children and passes signals on.",
        ),
        ("ipc", Text, "IPC namespace: `host`, `shareable`, `service:NAME`, …; its own when empty."),
        ("isolation", Text, "Isolation technology."),
        (
            "label_file",
            OneOf(&[Text, List(&Text)]),
            "Files with further labels; `labels` wins over them.",
        ),
        ("labels", PAIRS, "Labels of the container. `label_file` is folded in."),
        ("links", WORDS, "Services that it knows by another name: `service[:alias]`."),
        ("logging", Shape::Object(&LOGGING), "Where its output goes."),
        ("mac_address", Text, "Hardware address."),
        ("mem_limit", LooseBytes, "Largest memory in bytes; 0 means not set."),
        (
            "mem_reservation",
            Bytes,
            "Memory in bytes below which it is not reclaimed; 0 means not set.",
        ),
        ("mem_swappiness", Bytes, "Inclination to swap, 0 to 100; 0 means not set."),
        (
            "memswap_limit",
            LooseBytes,
            "Largest sum of memory and swap in bytes; 0 means not set, -1 no limit.",
        ),
        (
            "models",
            OneOf(&[WORDS, Map(&Optional(&Shape::Object(&MODEL_REFERENCE)))]),
            "Language models it uses, by key.",
        ),
        ("network_mode", Text, "A network that is not one of the project's; excludes `networks`."),
        (
            "networks",
            OneOf(&[WORDS, Map(&Optional(&Shape::Object(&ATTACHMENT)))]),
            "Networks it is on, by key.",
        ),
        ("oom_kill_disable", Flag, "Whether the kernel may not end it when memory runs out."),
        (
            "oom_score_adj",
            Within(-1000, 1000),
            "How readily the kernel ends it when memory runs out, -1000 to 1000.",
        ),
        ("pid", Optional(&Text), "PID namespace: `host`, `service:NAME`, …; its own when empty."),
        ("pids_limit", Whole, "Largest number of processes; 0 means not set, -1 no limit."),
        ("platform", Text, "Platform of the image, such as `linux/amd64`."),
        (
            "ports",
            Set(&OneOf(&[TextOrInteger, Shape::Object(&PORT)])),
            "Ports that are reachable from outside: `[[address:]port:]container-port[/protocol]`, or the long form.",
        ),
        ("post_start", List(&Shape::Object(&HOOK)), "Commands after the start."),
        ("pre_start", List(&Shape::Object(&PRE_START)), "Commands before the start."),
        ("pre_stop", List(&Shape::Object(&HOOK)), "Commands before it is stopped."),
        ("privileged", Flag, "Whether it runs with all rights."),
        ("profiles", WORDS, "Profiles that enable the service; always enabled when empty."),
        (
            "provider",
            Shape::Object(&PROVIDER),
            "The program that provides the service in place of a container.",
        ),
        ("pull_policy", PULL_POLICY, "When its image is looked for in the registry."),
        ("pull_refresh_after", Text, "Period for `pull_policy: refresh`."),
        ("read_only", Flag, "Whether its root file system may only be read."),
        (
            "restart",
            Text,
            "When it is started again: `no`, `always`, `on-failure[:times]` or `unless-stopped`.",
        ),
        ("runtime", Text, "OCI runtime to use."),
        ("scale", Integer, "Number of containers."),
        ("secrets", FILE_REFERENCES, "Secrets it sees as files."),
        ("security_opt", WORDS, "Security options, such as `no-new-privileges:true`."),
        ("shm_size", LooseBytes, "Size of `/dev/shm` in bytes; 64 MiB when 0."),
        ("stdin_open", Flag, "Whether its standard input stays open."),
        ("stop_grace_period", Period, "Time from the stop signal to SIGKILL; 10 s when absent."),
        (
            "stop_signal",
            Text,
            "Signal that asks it to stop; the image's, else SIGTERM, when empty.",
        ),
        ("storage_opt", Map(&Token), "Options of the storage driver."),
        ("sysctls", PAIRS, "Kernel parameters of its namespaces."),
        ("tmpfs", TEXTS, "File systems in memory: `path[:options]`."),
        ("tty", Flag, "Whether it has a terminal."),
        ("ulimits", ULIMITS, "Limits of its processes by name, such as `nofile`."),
        ("use_api_socket", Boolean, "Whether it gets Docker's API socket and credentials."),
        ("user", Text, "User and group to run as: names or numbers, `user[:group]`."),
        ("userns_mode", Text, "User namespace."),
        ("uts", Text, "UTS namespace."),
        (
            "volumes",
            Set(&OneOf(&[Text, Shape::Object(&MOUNT)])),
            "What is mounted into it: `source:target[:options]`, or the long form.",
        ),
        ("volumes_from", WORDS, "Services and containers whose mounts it gets as well."),
        ("working_dir", Text, "Directory to start in; the image's when empty."),
        (
            "x-naru-output",
            Shape::Words(&["separate", "merged"]),
            "Whether stdout and stderr are one stream, in which the order of lines is exact, or two.",
        ),
        (
            "x-naru-ready",
            naru::READY,
            "What shows that a container is ready; waited for like a health check.",
        ),
        (
            "x-naru-restart",
            Shape::Object(&naru::RESTART),
            "How it is restarted, beside what `restart` says about when.",
        ),
    ],
    required: &[],
};

const CONTAINER_NAME: Shape = Matching(
    |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        text.as_bytes().windows(2).any(|pair| pair[0].is_ascii_alphanumeric() && allowed(pair[1]))
    },
    "a name of two or more letters, digits, `_`, `.` and `-`",
    "[a-zA-Z0-9][a-zA-Z0-9_.-]+",
);

const PULL_POLICY: Shape = Matching(
    |text| {
        let words =
            ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
        let period = text.strip_prefix("every_");
        words.contains(&text)
            || period.is_some_and(|text| {
                let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
                let begins = unit.len() < text.len() && unit.starts_with(['w', 'd', 'h', 'm', 's']);
                begins && text.parse::<crate::project::Period>().is_ok()
            })
    },
    "always, never, missing, build, refresh, daily, weekly or every_<time> such as `every_12h`",
    "^(always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9.]+[a-zµμ]+)+)$",
);

/// The shape of `extends`, which is read before the whole service is checked.
pub(crate) fn extends_shape() -> &'static Shape {
    static SHAPE: Shape = OneOf(&[Text, Shape::Object(&EXTENDS)]);
    &SHAPE
}
