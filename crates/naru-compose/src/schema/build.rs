//! The attributes of `build`.

use super::shape::{FILE_REFERENCES, HOSTS, Object, PAIRS, Shape, TEXTS, ULIMITS};
use Shape::{Bytes, Flag, FlagText, List, Text};

/// How an image is built.
pub(crate) const BUILD: Object = Object {
    name: "`build`",
    fields: &[
        ("additional_contexts", PAIRS),
        ("args", PAIRS),
        ("cache_from", List(&Text)),
        ("cache_to", List(&Text)),
        ("context", Text),
        ("dockerfile", Text),
        ("dockerfile_inline", Text),
        ("entitlements", List(&Text)),
        ("extra_hosts", HOSTS),
        ("isolation", Text),
        ("labels", PAIRS),
        ("network", Text),
        ("no_cache", Flag),
        ("no_cache_filter", TEXTS),
        ("platforms", List(&Text)),
        ("privileged", Flag),
        ("provenance", FlagText),
        ("pull", Flag),
        ("sbom", FlagText),
        ("secrets", FILE_REFERENCES),
        ("shm_size", Bytes),
        ("ssh", PAIRS),
        ("tags", List(&Text)),
        ("target", Text),
        ("ulimits", ULIMITS),
    ],
    required: &[],
};
