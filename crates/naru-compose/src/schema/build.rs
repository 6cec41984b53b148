//! The attributes of `build`.

use super::shape::{FILE_REFERENCES, HOSTS, Object, PAIRS, Shape, TEXTS, ULIMITS};
use Shape::{Bytes, Flag, FlagText, List, Text};

/// How an image is built.
pub(crate) const BUILD: Object = Object {
    name: "`build`",
    fields: &[
        ("additional_contexts", PAIRS, "Further contexts by name."),
        ("args", PAIRS, "Build arguments; without a value they come from the environment."),
        ("cache_from", List(&Text), "Caches to read."),
        ("cache_to", List(&Text), "Caches to write."),
        ("context", Text, "Absolute directory, or the address of a remote context."),
        ("dockerfile", Text, "Path of the Dockerfile, relative to the context."),
        ("dockerfile_inline", Text, "The Dockerfile itself."),
        ("entitlements", List(&Text), "Rights the build may use."),
        ("extra_hosts", HOSTS, "Host names known during the build."),
        ("isolation", Text, "Isolation technology."),
        ("labels", PAIRS, "Labels of the image."),
        ("network", Text, "Network of the build's steps."),
        ("no_cache", Flag, "Whether every step runs again."),
        ("no_cache_filter", TEXTS, "Stages of which every step runs again."),
        ("platforms", List(&Text), "Platforms to build for."),
        ("privileged", Flag, "Whether steps run with extended rights."),
        ("provenance", FlagText, "Provenance attestation."),
        ("pull", Flag, "Whether base images are looked for in their registries."),
        ("sbom", FlagText, "Software bill of materials."),
        ("secrets", FILE_REFERENCES, "Secrets that steps can mount."),
        ("shm_size", Bytes, "Size of `/dev/shm` in bytes."),
        ("ssh", PAIRS, "SSH agents and keys: `default` or `id=path`."),
        ("tags", List(&Text), "Further names of the image."),
        ("target", Text, "Stage to build."),
        ("ulimits", ULIMITS, "Limits of processes."),
    ],
    required: &[],
};
