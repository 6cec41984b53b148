//! The top level and what is declared there beside services.

use super::service::SERVICE;
use super::shape::{OPTIONS, Object, PAIRS, Shape, TEXTS};
use Shape::{Flag, Integer, List, Map, Named, OneOf, Optional, Text};

/// A Compose file.
pub(crate) static PROJECT: Object = Object {
    name: "the top level",
    fields: &[
        ("version", Text),
        ("name", Text),
        ("include", INCLUDE),
        ("services", Named(&Shape::Object(&SERVICE))),
        ("networks", Map(&Optional(&Shape::Object(&NETWORK)))),
        ("volumes", Named(&Optional(&Shape::Object(&VOLUME)))),
        ("secrets", Named(&Shape::Object(&SECRET))),
        ("configs", Named(&Shape::Object(&CONFIG))),
        ("models", Map(&Shape::Object(&MODEL))),
    ],
    required: &[],
};

/// Other Compose files that a file takes over.
pub(crate) const INCLUDE: Shape = List(&OneOf(&[Text, Shape::Object(&INCLUDED)]));

const INCLUDED: Object = Object {
    name: "an include",
    fields: &[("path", TEXTS), ("env_file", TEXTS), ("project_directory", Text)],
    required: &[],
};

const EXTERNAL: Shape = OneOf(&[Flag, Shape::Object(&EXTERNAL_NAME)]);

const EXTERNAL_NAME: Object =
    Object { name: "`external`", fields: &[("name", Text)], required: &[] };

const NETWORK: Object = Object {
    name: "a network",
    fields: &[
        ("name", Text),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("ipam", Shape::Object(&IPAM)),
        ("external", EXTERNAL),
        ("internal", Flag),
        ("attachable", Flag),
        ("enable_ipv4", Flag),
        ("enable_ipv6", Flag),
        ("labels", PAIRS),
    ],
    required: &[],
};

const IPAM: Object = Object {
    name: "`ipam`",
    fields: &[("driver", Text), ("config", List(&Shape::Object(&POOL))), ("options", Map(&Text))],
    required: &[],
};

const POOL: Object = Object {
    name: "an address pool",
    fields: &[
        ("subnet", Text),
        ("ip_range", Text),
        ("gateway", Text),
        ("aux_addresses", Map(&Text)),
    ],
    required: &[],
};

const VOLUME: Object = Object {
    name: "a volume",
    fields: &[
        ("name", Text),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("external", EXTERNAL),
        ("labels", PAIRS),
    ],
    required: &[],
};

const SECRET: Object = Object {
    name: "a secret",
    fields: &[
        ("name", Text),
        ("environment", Text),
        ("file", Text),
        ("external", EXTERNAL),
        ("labels", PAIRS),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("template_driver", Text),
    ],
    required: &[],
};

const CONFIG: Object = Object {
    name: "a config",
    fields: &[
        ("name", Text),
        ("content", Text),
        ("environment", Text),
        ("file", Text),
        ("external", EXTERNAL),
        ("labels", PAIRS),
        ("template_driver", Text),
    ],
    required: &[],
};

const MODEL: Object = Object {
    name: "a model",
    fields: &[
        ("name", Text),
        ("model", Text),
        ("context_size", Shape::Strict(&Integer)),
        ("runtime_flags", List(&Text)),
    ],
    required: &["model"],
};
