//! The attributes of `deploy`.

use super::shape::{Field, Object, PAIRS, Shape, WORDS};
use Shape::{BytesText, Integer, List, Number, OneOf, Period, Scalar, Text, Words};

/// How a service is deployed.
pub(crate) const DEPLOY: Object = Object {
    name: "`deploy`",
    fields: &[
        ("mode", Text, "`replicated` or `global`; used by Swarm only."),
        ("endpoint_mode", Text, "`vip` or `dnsrr`; used by Swarm only."),
        ("replicas", Integer, "Number of containers; one when absent."),
        ("labels", PAIRS, "Labels of the service, not of its containers."),
        ("placement", Shape::Object(&PLACEMENT), "On which nodes; used by Swarm only."),
        (
            "update_config",
            Shape::Object(&ROLLOUT),
            "How an update is rolled out; used by Swarm only.",
        ),
        (
            "rollback_config",
            Shape::Object(&ROLLOUT),
            "How a failed update is rolled back; used by Swarm only.",
        ),
        (
            "restart_policy",
            Shape::Object(&RESTART),
            "When a container is started again; wins over the service's `restart`.",
        ),
        (
            "resources",
            Shape::Object(&RESOURCES),
            "What the containers may use, and what is kept for them.",
        ),
    ],
    required: &[],
};

const PLACEMENT: Object = Object {
    name: "`placement`",
    fields: &[
        ("constraints", List(&Text), "Conditions on nodes."),
        ("preferences", List(&Shape::Object(&PREFERENCE)), "How containers spread over nodes."),
        ("max_replicas_per_node", Integer, "Largest number per node; 0 means no limit."),
    ],
    required: &[],
};

const PREFERENCE: Object = Object {
    name: "a preference",
    fields: &[("spread", Text, "The label of nodes to spread over.")],
    required: &[],
};

const ROLLOUT: Object = Object {
    name: "a rollout",
    fields: &[
        ("parallelism", Integer, "Containers at a time."),
        ("delay", Period, "Time between two groups."),
        ("failure_action", Text, "What to do when it fails."),
        ("monitor", Period, "How long a container is watched for failure."),
        ("max_failure_ratio", Number, "Share of failures that is tolerated, 0 to 1."),
        ("order", Words(&["start-first", "stop-first"]), "`start-first` or `stop-first`."),
    ],
    required: &[],
};

const RESTART: Object = Object {
    name: "`restart_policy`",
    fields: &[
        ("condition", Text, "`none`, `on-failure` or `any`."),
        ("delay", Period, "Time between two attempts."),
        ("max_attempts", Integer, "Number of attempts."),
        ("window", Period, "Time after which an attempt counts as successful."),
    ],
    required: &[],
};

const RESOURCES: Object = Object {
    name: "`resources`",
    fields: &[
        ("limits", Shape::Object(&LIMITS), "Upper limits."),
        ("reservations", Shape::Object(&RESERVATIONS), "What is kept for the container."),
    ],
    required: &[],
};

const LIMITS: Object = Object {
    name: "`limits`",
    fields: &[
        ("cpus", Number, "Number of processors."),
        ("memory", BytesText, "Memory in bytes."),
        ("pids", Integer, "Number of processes."),
    ],
    required: &[],
};

const RESERVATIONS: Object = Object {
    name: "`reservations`",
    fields: &[
        ("cpus", Number, "Number of processors."),
        ("memory", BytesText, "Memory in bytes."),
        (
            "generic_resources",
            List(&Shape::Object(&GENERIC)),
            "Resources that the platform defines.",
        ),
        ("devices", List(&Shape::Object(&RESERVED_DEVICE)), "Devices."),
    ],
    required: &[],
};

const GENERIC: Object = Object {
    name: "a generic resource",
    fields: &[(
        "discrete_resource_spec",
        Shape::Object(&DISCRETE),
        "The resource and how much of it.",
    )],
    required: &[],
};

const DISCRETE: Object = Object {
    name: "a resource",
    fields: &[("kind", Text, "Which resource."), ("value", Shape::Whole, "How many units.")],
    required: &[],
};

const DEVICE_FIELDS: &[Field] = &[
    ("capabilities", WORDS, "What the device has to be able to do, such as `gpu`."),
    ("count", OneOf(&[Scalar]), "How many; -1 means all."),
    ("device_ids", WORDS, "Which ones."),
    ("driver", Text, "Driver."),
    ("options", PAIRS, "Options for the driver."),
];

const RESERVED_DEVICE: Object =
    Object { name: "a device", fields: DEVICE_FIELDS, required: &["capabilities"] };

const REQUESTED_DEVICE: Object = Object { name: "a device", fields: DEVICE_FIELDS, required: &[] };

/// Devices asked for by what they can do.
pub(crate) const DEVICE_REQUESTS: Shape = List(&Shape::Object(&REQUESTED_DEVICE));
