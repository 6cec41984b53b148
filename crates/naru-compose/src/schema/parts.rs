//! The objects that a service consists of, but for `build` and `deploy`.

use super::shape::{COMMAND, OPTIONS, Object, PAIRS, Shape, TEXTS, WORDS};

use Shape::{
    Boolean, Bytes, Flag, Integer, List, Map, OneOf, Optional, Period, Scalar, Strict, Text,
    TextOrInteger, Whole, Words,
};

/// Limits on block I/O.
pub(super) const BLKIO: Object = Object {
    name: "`blkio_config`",
    fields: &[
        ("weight", Strict(&Integer), "Relative weight, 10 to 1000; 0 means not set."),
        ("weight_device", List(&Shape::Object(&WEIGHT)), "Weights of single devices."),
        ("device_read_bps", List(&Shape::Object(&RATE)), "Bytes per second that may be read."),
        ("device_read_iops", List(&Shape::Object(&RATE)), "Operations per second that may read."),
        ("device_write_bps", List(&Shape::Object(&RATE)), "Bytes per second that may be written."),
        ("device_write_iops", List(&Shape::Object(&RATE)), "Operations per second that may write."),
    ],
    required: &[],
};

/// A weight of a device.
pub(super) const WEIGHT: Object = Object {
    name: "a weight",
    fields: &[
        ("path", Text, "Path of the device on the host."),
        ("weight", Strict(&Integer), "Relative weight, 10 to 1000."),
    ],
    required: &[],
};

/// A rate of a device.
pub(super) const RATE: Object = Object {
    name: "a rate",
    fields: &[
        ("path", Text, "Path of the device on the host."),
        ("rate", Bytes, "Bytes or operations per second."),
    ],
    required: &[],
};

/// Credentials of a managed service account.
pub(super) const CREDENTIAL_SPEC: Object = Object {
    name: "`credential_spec`",
    fields: &[
        ("config", Text, "Key of a config."),
        ("file", Text, "Path of a file."),
        ("registry", Text, "Key of the registry of Windows."),
    ],
    required: &[],
};

/// What a service waits for.
pub(super) const DEPENDENCY: Object = Object {
    name: "a dependency",
    fields: &[
        (
            "condition",
            Words(&["service_started", "service_healthy", "service_completed_successfully"]),
            "The state to wait for.",
        ),
        (
            "restart",
            Flag,
            "Whether a restart of the dependency by naru restarts this service as well.",
        ),
        (
            "required",
            Boolean,
            "Whether the dependency has to exist and to succeed; otherwise its absence is only a warning.",
        ),
    ],
    required: &["condition"],
};

/// What `watch` does.
pub(super) const DEVELOP: Object = Object {
    name: "`develop`",
    fields: &[(
        "watch",
        List(&Shape::Object(&TRIGGER)),
        "Paths and what happens when they change.",
    )],
    required: &[],
};

/// One rule of `watch`.
pub(super) const TRIGGER: Object = Object {
    name: "a watch rule",
    fields: &[
        ("path", Text, "Absolute path on the host."),
        (
            "action",
            Words(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]),
            "`rebuild`, `sync`, `restart`, `sync+restart` or `sync+exec`.",
        ),
        ("target", Text, "Path in the container."),
        ("exec", Shape::Object(&HOOK), "Command for `sync+exec`."),
        ("include", TEXTS, "Patterns of the only paths that count."),
        ("ignore", TEXTS, "Patterns of paths that do not count."),
        ("initial_sync", Boolean, "Whether everything is synchronized at the start."),
    ],
    required: &["path", "action"],
};

/// A device of the host.
pub(super) const DEVICE: Object = Object {
    name: "a device",
    fields: &[
        ("source", Text, "Path on the host, or a CDI name."),
        ("target", Text, "Path in the container."),
        ("permissions", Text, "Some of `r`, `w` and `m`."),
    ],
    required: &["source", "target"],
};

/// A file of variables.
pub(super) const ENV_FILE: Object = Object {
    name: "an env file",
    fields: &[
        ("path", Text, "Its path."),
        ("format", Text, "`raw` for a file without quotes and variables."),
        ("required", Flag, "Whether it has to be there."),
    ],
    required: &["path"],
};

/// The service that is extended.
pub(super) const EXTENDS: Object = Object {
    name: "`extends`",
    fields: &[
        ("service", Text, "Name of the other service."),
        ("file", Text, "File that the other service is in; this one when absent."),
    ],
    required: &["service"],
};

/// How health is found out.
pub(super) const HEALTHCHECK: Object = Object {
    name: "a health check",
    fields: &[
        (
            "test",
            OneOf(&[Text, List(&Text)]),
            "`[\"NONE\"]`, `[\"CMD\", program, …]` or `[\"CMD-SHELL\", line]`; the image's own test when empty.",
        ),
        ("interval", Period, "Time between two probes; 30 s when absent."),
        ("timeout", Period, "Time after which a probe has failed; 30 s when absent."),
        ("retries", Whole, "Failures in a row until the container is unhealthy; 3 when absent."),
        (
            "start_period",
            Period,
            "Time after the start in which failures do not count; none when absent.",
        ),
        (
            "start_interval",
            Period,
            "Time between two probes during the start period; 5 s when absent.",
        ),
        ("disable", Flag, "No probing at all, also not by the image's own test."),
    ],
    required: &[],
};

/// Where output goes.
pub(super) const LOGGING: Object = Object {
    name: "`logging`",
    fields: &[
        ("driver", Text, "Driver."),
        ("options", Map(&Optional(&Scalar)), "Options for the driver."),
    ],
    required: &[],
};

/// How a service learns about a model.
pub(super) const MODEL_REFERENCE: Object = Object {
    name: "a reference to a model",
    fields: &[
        ("endpoint_var", Text, "Variable that gets the model's address."),
        ("model_var", Text, "Variable that gets the model's name."),
    ],
    required: &[],
};

/// A service's place on a network.
pub(super) const ATTACHMENT: Object = Object {
    name: "a network of a service",
    fields: &[
        ("aliases", WORDS, "Further names of the service on this network."),
        ("interface_name", Text, "Name of the interface inside the container."),
        ("ipv4_address", Text, "A fixed IPv4 address."),
        ("ipv6_address", Text, "A fixed IPv6 address."),
        ("link_local_ips", WORDS, "Link-local addresses to add."),
        ("mac_address", Text, "Hardware address of the interface."),
        ("driver_opts", OPTIONS, "Options for the network's driver."),
        ("priority", Strict(&Whole), "Networks are attached in descending order of this number."),
        (
            "gw_priority",
            Strict(&Whole),
            "The network with the highest number gives the default route.",
        ),
    ],
    required: &[],
};

/// A published port.
pub(super) const PORT: Object = Object {
    name: "a port",
    fields: &[
        ("name", Text, "A name for people."),
        ("mode", Text, "`ingress` or `host`; both mean the same on one machine."),
        ("host_ip", Text, "Address of the machine to listen on; every address when empty."),
        ("target", Integer, "Port in the container."),
        (
            "published",
            TextOrInteger,
            "Port of the machine: a number, or a range `8100-8110` of which one is taken; any free one when absent.",
        ),
        ("protocol", Text, "Transport protocol."),
        ("app_protocol", Text, "Application protocol, for people."),
        (
            "x-naru-publish",
            Words(&["proxy", "nat"]),
            "How packets get there: through naru's proxy, or by the kernel's address translation.",
        ),
    ],
    required: &[],
};

/// A command at a moment of a container's life.
pub(super) const HOOK: Object = Object {
    name: "a hook",
    fields: &[
        ("command", COMMAND, "Program and arguments."),
        ("user", Text, "User to run it as."),
        ("privileged", Flag, "Whether it runs with all rights."),
        ("working_dir", Text, "Directory to run it in."),
        ("environment", PAIRS, "Environment; a variable without a value is not set."),
    ],
    required: &["command"],
};

/// A command before the start.
pub(super) const PRE_START: Object = Object {
    name: "a hook",
    fields: &[
        ("command", COMMAND, "Program and arguments."),
        ("image", Text, "Image to run the command in; the service's own when absent."),
        ("user", Text, "User to run it as."),
        ("privileged", Flag, "Whether it runs with all rights."),
        ("working_dir", Text, "Directory to run it in."),
        ("environment", PAIRS, "Environment; a variable without a value is not set."),
        (
            "per_replica",
            Flag,
            "Whether it runs once for each container rather than once for the service.",
        ),
    ],
    required: &[],
};

/// A program that provides the service.
pub(super) const PROVIDER: Object = Object {
    name: "a provider",
    fields: &[
        ("type", Text, "Which program."),
        (
            "options",
            Map(&OneOf(&[Shape::Pair, List(&Shape::Pair)])),
            "Options for it, each with one or several values.",
        ),
    ],
    required: &["type"],
};

/// A mount.
pub(super) const MOUNT: Object = Object {
    name: "a volume of a service",
    fields: &[
        (
            "type",
            Words(&["bind", "volume", "tmpfs", "image", "npipe", "cluster"]),
            "What is mounted.",
        ),
        (
            "source",
            Text,
            "Absolute path on the host, key of a volume, or image; an anonymous volume when empty.",
        ),
        ("target", Text, "Absolute path in the container."),
        ("read_only", Flag, "Whether the container may only read."),
        ("consistency", Text, "Read by Docker Desktop only."),
        ("bind", Shape::Object(&BIND), "Options of a bind mount."),
        ("volume", Shape::Object(&VOLUME), "Options of a volume."),
        ("tmpfs", Shape::Object(&TMPFS), "Options of a tmpfs."),
        ("image", Shape::Object(&IMAGE), "Options of an image mount."),
    ],
    required: &["type"],
};

/// Options of a bind mount.
pub(super) const BIND: Object = Object {
    name: "`bind`",
    fields: &[
        ("propagation", Text, "`[r]private`, `[r]shared` or `[r]slave`; `rprivate` when empty."),
        ("create_host_path", Flag, "Whether a missing source is made, as a directory."),
        (
            "recursive",
            Words(&["enabled", "disabled", "writable", "readonly"]),
            "`enabled`, `disabled`, `writable` or `readonly`: what happens to mounts below the source.",
        ),
        ("selinux", Words(&["z", "Z"]), "`z` or `Z`: how the source is labelled for SELinux."),
    ],
    required: &[],
};

/// Options of a volume.
pub(super) const VOLUME: Object = Object {
    name: "`volume`",
    fields: &[
        ("labels", PAIRS, "Labels of an anonymous volume."),
        ("nocopy", Flag, "Whether the image's files are not copied into an empty volume."),
        ("subpath", Text, "A directory of the volume to mount in place of its root."),
    ],
    required: &[],
};

/// Options of a file system in memory.
pub(super) const TMPFS: Object = Object {
    name: "`tmpfs`",
    fields: &[
        ("size", Bytes, "Largest size in bytes; half of the memory when 0."),
        ("mode", Strict(&Integer), "Permission bits of its root as a plain number; 0o1777 when 0."),
    ],
    required: &[],
};

/// Options of an image mount.
pub(super) const IMAGE: Object = Object {
    name: "`image`",
    fields: &[("subpath", Text, "A directory of the image to mount in place of its root.")],
    required: &[],
};
