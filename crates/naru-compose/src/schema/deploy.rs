//! The attributes of `deploy`.

use super::shape::{Object, PAIRS, Shape, WORDS};
use Shape::{BytesText, Integer, List, Number, OneOf, Period, Scalar, Text, Words};

/// How a service is deployed.
pub(crate) const DEPLOY: Object = Object {
    name: "`deploy`",
    fields: &[
        ("mode", Text),
        ("endpoint_mode", Text),
        ("replicas", Integer),
        ("labels", PAIRS),
        ("placement", Shape::Object(&PLACEMENT)),
        ("update_config", Shape::Object(&ROLLOUT)),
        ("rollback_config", Shape::Object(&ROLLOUT)),
        ("restart_policy", Shape::Object(&RESTART)),
        ("resources", Shape::Object(&RESOURCES)),
    ],
    required: &[],
};

const PLACEMENT: Object = Object {
    name: "`placement`",
    fields: &[
        ("constraints", List(&Text)),
        ("preferences", List(&Shape::Object(&PREFERENCE))),
        ("max_replicas_per_node", Integer),
    ],
    required: &[],
};

const PREFERENCE: Object =
    Object { name: "a preference", fields: &[("spread", Text)], required: &[] };

const ROLLOUT: Object = Object {
    name: "a rollout",
    fields: &[
        ("parallelism", Integer),
        ("delay", Period),
        ("failure_action", Text),
        ("monitor", Period),
        ("max_failure_ratio", Number),
        ("order", Words(&["start-first", "stop-first"])),
    ],
    required: &[],
};

const RESTART: Object = Object {
    name: "`restart_policy`",
    fields: &[
        ("condition", Text),
        ("delay", Period),
        ("max_attempts", Integer),
        ("window", Period),
    ],
    required: &[],
};

const RESOURCES: Object = Object {
    name: "`resources`",
    fields: &[("limits", Shape::Object(&LIMITS)), ("reservations", Shape::Object(&RESERVATIONS))],
    required: &[],
};

const LIMITS: Object = Object {
    name: "`limits`",
    fields: &[("cpus", Number), ("memory", BytesText), ("pids", Integer)],
    required: &[],
};

const RESERVATIONS: Object = Object {
    name: "`reservations`",
    fields: &[
        ("cpus", Number),
        ("memory", BytesText),
        ("generic_resources", List(&Shape::Object(&GENERIC))),
        ("devices", List(&Shape::Object(&RESERVED_DEVICE))),
    ],
    required: &[],
};

const GENERIC: Object = Object {
    name: "a generic resource",
    fields: &[("discrete_resource_spec", Shape::Object(&DISCRETE))],
    required: &[],
};

const DISCRETE: Object = Object {
    name: "a resource",
    fields: &[("kind", Text), ("value", Shape::Whole)],
    required: &[],
};

const DEVICE_FIELDS: &[(&str, Shape)] = &[
    ("capabilities", WORDS),
    ("count", OneOf(&[Scalar])),
    ("device_ids", WORDS),
    ("driver", Text),
    ("options", PAIRS),
];

const RESERVED_DEVICE: Object =
    Object { name: "a device", fields: DEVICE_FIELDS, required: &["capabilities"] };

const REQUESTED_DEVICE: Object = Object { name: "a device", fields: DEVICE_FIELDS, required: &[] };

/// Devices asked for by what they can do.
pub(crate) const DEVICE_REQUESTS: Shape = List(&Shape::Object(&REQUESTED_DEVICE));
