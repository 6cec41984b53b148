//! The top level and what is declared there beside services.

use super::service::SERVICE;
use super::shape::{OPTIONS, Object, PAIRS, Shape, TEXTS};
use Shape::{Flag, Integer, List, Map, Named, OneOf, Optional, Text};

/// A Compose file.
pub(crate) static PROJECT: Object = Object {
    name: "the top level",
    fields: &[
        ("version", Text, "Obsolete and ignored."),
        ("name", Text, "Name of the project; that of the directory when absent."),
        (
            "include",
            INCLUDE,
            "Other Compose files that are taken in, each with its own directory and `.env`.",
        ),
        ("services", Named(&Shape::Object(&SERVICE)), "The services, by name."),
        (
            "networks",
            Map(&Optional(&Shape::Object(&NETWORK))),
            "Networks by key; `Network::name` is the name on the host.",
        ),
        (
            "volumes",
            Named(&Optional(&Shape::Object(&VOLUME))),
            "Named volumes by key; `Volume::name` is the name on the host.",
        ),
        ("secrets", Named(&Shape::Object(&SECRET)), "Secrets by key."),
        ("configs", Named(&Shape::Object(&CONFIG)), "Configs by key."),
        ("models", Map(&Shape::Object(&MODEL)), "Language models by key."),
    ],
    required: &[],
};

/// Other Compose files that a file takes over.
pub(crate) const INCLUDE: Shape = List(&OneOf(&[Text, Shape::Object(&INCLUDED)]));

const INCLUDED: Object = Object {
    name: "an include",
    fields: &[
        ("path", TEXTS, "The file, or files of which later ones are merged over earlier ones."),
        ("env_file", TEXTS, "Files with variables in place of the `.env` beside it."),
        (
            "project_directory",
            Text,
            "Directory that its relative paths start from; its own when absent.",
        ),
    ],
    required: &[],
};

const EXTERNAL: Shape = OneOf(&[Flag, Shape::Object(&EXTERNAL_NAME)]);

const EXTERNAL_NAME: Object = Object {
    name: "`external`",
    fields: &[("name", Text, "Old form of `name` beside `external`.")],
    required: &[],
};

const NETWORK: Object = Object {
    name: "a network",
    fields: &[
        ("name", Text, "Name on the host."),
        ("driver", Text, "Driver; `bridge` when empty."),
        ("driver_opts", OPTIONS, "Options for the driver."),
        ("ipam", Shape::Object(&IPAM), "Where addresses come from."),
        ("external", EXTERNAL, "Whether it exists already and is neither made nor removed."),
        ("internal", Flag, "Whether nothing outside can be reached from it."),
        ("attachable", Flag, "Whether containers outside the project may join."),
        ("enable_ipv4", Flag, "Whether it has IPv4; it has when absent."),
        ("enable_ipv6", Flag, "Whether it has IPv6; it has not when absent."),
        ("labels", PAIRS, "Labels."),
    ],
    required: &[],
};

const IPAM: Object = Object {
    name: "`ipam`",
    fields: &[
        ("driver", Text, "Driver; `default` when empty."),
        ("config", List(&Shape::Object(&POOL)), "Pools of addresses; chosen by naru when empty."),
        ("options", Map(&Text), "Options for the driver."),
    ],
    required: &[],
};

const POOL: Object = Object {
    name: "an address pool",
    fields: &[
        ("subnet", Text, "The subnet in CIDR notation."),
        (
            "ip_range",
            Text,
            "The part of the subnet that containers get addresses from, in CIDR notation.",
        ),
        ("gateway", Text, "The bridge's own address; the subnet's first when empty."),
        ("aux_addresses", Map(&Text), "Addresses that no container gets, by name."),
    ],
    required: &[],
};

const VOLUME: Object = Object {
    name: "a volume",
    fields: &[
        ("name", Text, "Name on the host."),
        ("driver", Text, "Driver; `local` when empty."),
        ("driver_opts", OPTIONS, "Options for the driver."),
        ("external", EXTERNAL, "Whether it exists already and is neither made nor removed."),
        ("labels", PAIRS, "Labels."),
    ],
    required: &[],
};

const SECRET: Object = Object {
    name: "a secret",
    fields: &[
        ("name", Text, "Name on the host."),
        ("environment", Text, "Environment variable that holds the content."),
        ("file", Text, "Absolute path of a file on the host."),
        ("external", EXTERNAL, "Whether it is kept by a platform."),
        ("labels", PAIRS, "Labels."),
        ("driver", Text, "Driver of a platform."),
        ("driver_opts", OPTIONS, "Options for the driver."),
        ("template_driver", Text, "Template engine of a platform."),
    ],
    required: &[],
};

const CONFIG: Object = Object {
    name: "a config",
    fields: &[
        ("name", Text, "Name on the host."),
        ("content", Text, "The content itself."),
        ("environment", Text, "Environment variable that holds the content."),
        ("file", Text, "Absolute path of a file on the host."),
        ("external", EXTERNAL, "Whether it is kept by a platform."),
        ("labels", PAIRS, "Labels."),
        ("template_driver", Text, "Template engine of a platform."),
    ],
    required: &[],
};

const MODEL: Object = Object {
    name: "a model",
    fields: &[
        ("name", Text, "Name of the model."),
        ("model", Text, "Reference of the model's artifact."),
        ("context_size", Shape::Strict(&Integer), "Size of the context in tokens."),
        ("runtime_flags", List(&Text), "Flags for the runtime."),
    ],
    required: &["model"],
};
