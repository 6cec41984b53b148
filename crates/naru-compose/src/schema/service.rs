//! The attributes of a service, but for `build` and `deploy`.

use super::build::BUILD;
use super::deploy::{DEPLOY, DEVICE_REQUESTS};
use super::shape::{
    COMMAND, FILE_REFERENCES, HOSTS, OPTIONS, Object, PAIRS, Shape, TEXTS, ULIMITS, WORDS,
};

use Shape::{
    Boolean, Bytes, Flag, Integer, List, LooseBytes, Map, Matching, Number, OneOf, Optional,
    Period, Scalar, Set, Strict, Text, TextOrInteger, Token, Whole, Within, Words,
};

/// A service.
pub(crate) static SERVICE: Object = Object {
    name: "a service",
    fields: &[
        ("annotations", PAIRS),
        ("attach", Flag),
        ("blkio_config", Shape::Object(&BLKIO)),
        ("build", OneOf(&[Text, Shape::Object(&BUILD)])),
        ("cap_add", WORDS),
        ("cap_drop", WORDS),
        ("cgroup", Words(&["host", "private"])),
        ("cgroup_parent", Text),
        ("command", COMMAND),
        ("configs", FILE_REFERENCES),
        ("container_name", CONTAINER_NAME),
        ("cpu_count", Integer),
        ("cpu_percent", Within(0, 100)),
        ("cpu_period", Whole),
        ("cpu_quota", Whole),
        ("cpu_rt_period", Whole),
        ("cpu_rt_runtime", Whole),
        ("cpu_shares", Whole),
        ("cpus", Number),
        ("cpuset", Text),
        ("credential_spec", Shape::Object(&CREDENTIAL_SPEC)),
        ("depends_on", OneOf(&[WORDS, Map(&Shape::Object(&DEPENDENCY))])),
        ("deploy", Optional(&Shape::Object(&DEPLOY))),
        ("develop", Optional(&Shape::Object(&DEVELOP))),
        ("device_cgroup_rules", WORDS),
        ("devices", List(&OneOf(&[Text, Shape::Object(&DEVICE)]))),
        ("dns", TEXTS),
        ("dns_opt", WORDS),
        ("dns_search", TEXTS),
        ("domainname", Text),
        ("entrypoint", COMMAND),
        ("env_file", OneOf(&[Text, List(&OneOf(&[Text, Shape::Object(&ENV_FILE)]))])),
        ("environment", PAIRS),
        ("expose", Set(&Token)),
        ("extends", OneOf(&[Text, Shape::Object(&EXTENDS)])),
        ("external_links", WORDS),
        ("extra_hosts", HOSTS),
        ("gpus", OneOf(&[Words(&["all"]), DEVICE_REQUESTS])),
        ("group_add", Set(&Token)),
        ("healthcheck", Shape::Object(&HEALTHCHECK)),
        ("hostname", Text),
        ("image", Text),
        ("init", Flag),
        ("ipc", Text),
        ("isolation", Text),
        ("label_file", OneOf(&[Text, List(&Text)])),
        ("labels", PAIRS),
        ("links", WORDS),
        ("logging", Shape::Object(&LOGGING)),
        ("mac_address", Text),
        ("mem_limit", LooseBytes),
        ("mem_reservation", Bytes),
        ("mem_swappiness", Bytes),
        ("memswap_limit", LooseBytes),
        ("models", OneOf(&[WORDS, Map(&Optional(&Shape::Object(&MODEL_REFERENCE)))])),
        ("network_mode", Text),
        ("networks", OneOf(&[WORDS, Map(&Optional(&Shape::Object(&ATTACHMENT)))])),
        ("oom_kill_disable", Flag),
        ("oom_score_adj", Within(-1000, 1000)),
        ("pid", Optional(&Text)),
        ("pids_limit", Whole),
        ("platform", Text),
        ("ports", Set(&OneOf(&[TextOrInteger, Shape::Object(&PORT)]))),
        ("post_start", List(&Shape::Object(&HOOK))),
        ("pre_start", List(&Shape::Object(&PRE_START))),
        ("pre_stop", List(&Shape::Object(&HOOK))),
        ("privileged", Flag),
        ("profiles", WORDS),
        ("provider", Shape::Object(&PROVIDER)),
        ("pull_policy", PULL_POLICY),
        ("pull_refresh_after", Text),
        ("read_only", Flag),
        ("restart", Text),
        ("runtime", Text),
        ("scale", Integer),
        ("secrets", FILE_REFERENCES),
        ("security_opt", WORDS),
        ("shm_size", LooseBytes),
        ("stdin_open", Flag),
        ("stop_grace_period", Period),
        ("stop_signal", Text),
        ("storage_opt", Map(&Token)),
        ("sysctls", PAIRS),
        ("tmpfs", TEXTS),
        ("tty", Flag),
        ("ulimits", ULIMITS),
        ("use_api_socket", Boolean),
        ("user", Text),
        ("userns_mode", Text),
        ("uts", Text),
        ("volumes", Set(&OneOf(&[Text, Shape::Object(&MOUNT)]))),
        ("volumes_from", WORDS),
        ("working_dir", Text),
    ],
    required: &[],
};

const CONTAINER_NAME: Shape = Matching(
    |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        text.as_bytes().windows(2).any(|pair| pair[0].is_ascii_alphanumeric() && allowed(pair[1]))
    },
    "a name of two or more letters, digits, `_`, `.` and `-`",
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
);

const BLKIO: Object = Object {
    name: "`blkio_config`",
    fields: &[
        ("weight", Strict(&Integer)),
        ("weight_device", List(&Shape::Object(&WEIGHT))),
        ("device_read_bps", List(&Shape::Object(&RATE))),
        ("device_read_iops", List(&Shape::Object(&RATE))),
        ("device_write_bps", List(&Shape::Object(&RATE))),
        ("device_write_iops", List(&Shape::Object(&RATE))),
    ],
    required: &[],
};

const WEIGHT: Object = Object {
    name: "a weight",
    fields: &[("path", Text), ("weight", Strict(&Integer))],
    required: &[],
};

const RATE: Object =
    Object { name: "a rate", fields: &[("path", Text), ("rate", Bytes)], required: &[] };

const CREDENTIAL_SPEC: Object = Object {
    name: "`credential_spec`",
    fields: &[("config", Text), ("file", Text), ("registry", Text)],
    required: &[],
};

const DEPENDENCY: Object = Object {
    name: "a dependency",
    fields: &[
        (
            "condition",
            Words(&["service_started", "service_healthy", "service_completed_successfully"]),
        ),
        ("restart", Flag),
        ("required", Boolean),
    ],
    required: &["condition"],
};

const DEVELOP: Object = Object {
    name: "`develop`",
    fields: &[("watch", List(&Shape::Object(&TRIGGER)))],
    required: &[],
};

const TRIGGER: Object = Object {
    name: "a watch rule",
    fields: &[
        ("path", Text),
        ("action", Words(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
        ("target", Text),
        ("exec", Shape::Object(&HOOK)),
        ("include", TEXTS),
        ("ignore", TEXTS),
        ("initial_sync", Boolean),
    ],
    required: &["path", "action"],
};

const DEVICE: Object = Object {
    name: "a device",
    fields: &[("source", Text), ("target", Text), ("permissions", Text)],
    required: &["source", "target"],
};

const ENV_FILE: Object = Object {
    name: "an env file",
    fields: &[("path", Text), ("format", Text), ("required", Flag)],
    required: &["path"],
};

const EXTENDS: Object = Object {
    name: "`extends`",
    fields: &[("service", Text), ("file", Text)],
    required: &["service"],
};

const HEALTHCHECK: Object = Object {
    name: "a health check",
    fields: &[
        ("test", OneOf(&[Text, List(&Text)])),
        ("interval", Period),
        ("timeout", Period),
        ("retries", Whole),
        ("start_period", Period),
        ("start_interval", Period),
        ("disable", Flag),
    ],
    required: &[],
};

const LOGGING: Object = Object {
    name: "`logging`",
    fields: &[("driver", Text), ("options", Map(&Optional(&Scalar)))],
    required: &[],
};

const MODEL_REFERENCE: Object = Object {
    name: "a reference to a model",
    fields: &[("endpoint_var", Text), ("model_var", Text)],
    required: &[],
};

const ATTACHMENT: Object = Object {
    name: "a network of a service",
    fields: &[
        ("aliases", WORDS),
        ("interface_name", Text),
        ("ipv4_address", Text),
        ("ipv6_address", Text),
        ("link_local_ips", WORDS),
        ("mac_address", Text),
        ("driver_opts", OPTIONS),
        ("priority", Strict(&Whole)),
        ("gw_priority", Strict(&Whole)),
    ],
    required: &[],
};

const PORT: Object = Object {
    name: "a port",
    fields: &[
        ("name", Text),
        ("mode", Text),
        ("host_ip", Text),
        ("target", Integer),
        ("published", TextOrInteger),
        ("protocol", Text),
        ("app_protocol", Text),
    ],
    required: &[],
};

const HOOK: Object = Object {
    name: "a hook",
    fields: &[
        ("command", COMMAND),
        ("user", Text),
        ("privileged", Flag),
        ("working_dir", Text),
        ("environment", PAIRS),
    ],
    required: &["command"],
};

const PRE_START: Object = Object {
    name: "a hook",
    fields: &[
        ("command", COMMAND),
        ("image", Text),
        ("user", Text),
        ("privileged", Flag),
        ("working_dir", Text),
        ("environment", PAIRS),
        ("per_replica", Flag),
    ],
    required: &[],
};

const PROVIDER: Object = Object {
    name: "a provider",
    fields: &[("type", Text), ("options", Map(&OneOf(&[Shape::Pair, List(&Shape::Pair)])))],
    required: &["type"],
};

const MOUNT: Object = Object {
    name: "a volume of a service",
    fields: &[
        ("type", Words(&["bind", "volume", "tmpfs", "image", "npipe", "cluster"])),
        ("source", Text),
        ("target", Text),
        ("read_only", Flag),
        ("consistency", Text),
        ("bind", Shape::Object(&BIND)),
        ("volume", Shape::Object(&VOLUME)),
        ("tmpfs", Shape::Object(&TMPFS)),
        ("image", Shape::Object(&IMAGE)),
    ],
    required: &["type"],
};

const BIND: Object = Object {
    name: "`bind`",
    fields: &[
        ("propagation", Text),
        ("create_host_path", Flag),
        ("recursive", Words(&["enabled", "disabled", "writable", "readonly"])),
        ("selinux", Words(&["z", "Z"])),
    ],
    required: &[],
};

const VOLUME: Object = Object {
    name: "`volume`",
    fields: &[("labels", PAIRS), ("nocopy", Flag), ("subpath", Text)],
    required: &[],
};

const TMPFS: Object = Object {
    name: "`tmpfs`",
    fields: &[("size", Bytes), ("mode", Strict(&Integer))],
    required: &[],
};

const IMAGE: Object = Object { name: "`image`", fields: &[("subpath", Text)], required: &[] };

/// The shape of `extends`, which is read before the whole service is checked.
pub(crate) fn extends_shape() -> &'static Shape {
    static SHAPE: Shape = OneOf(&[Text, Shape::Object(&EXTENDS)]);
    &SHAPE
}
