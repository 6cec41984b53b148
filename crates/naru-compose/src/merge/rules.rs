//! The two tables of merging: how values of one place become one, and which entries of a list are
//! the same. A new attribute that merges in a way of its own is one line here.

use std::sync::LazyLock;

use crate::path::Table;

/// How two values of one place become one. Everywhere else mappings are merged key by key, lists
/// appended, scalars replaced, and nothing on the right keeps what is on the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The right one replaces the left one, even when it is nothing.
    Replace,
    /// `KEY=VALUE`, as list or mapping: merged by key.
    Pairs,
    /// One text stands for a list of one; lists are appended.
    Texts,
    /// A list of names stands for a mapping from them to nothing.
    Names,
    /// A list of services stands for a mapping to the default condition.
    Dependencies,
    /// A text stands for a mapping with the context.
    Build,
    /// Lists or mappings of hosts; exact duplicates are dropped.
    Hosts,
    /// Merged when the drivers are the same or one is absent, replaced otherwise.
    Logging,
    /// Address pools, merged by subnet.
    Pools,
}

/// How values are merged.
pub(super) static RULES: LazyLock<Table<Rule>> = LazyLock::new(|| {
    Table::new(&[
        ("networks.*.ipam.config", Rule::Pools),
        ("configs.*.labels", Rule::Pairs),
        ("networks.*.labels", Rule::Pairs),
        ("secrets.*.labels", Rule::Pairs),
        ("volumes.*.labels", Rule::Pairs),
        ("services.*.annotations", Rule::Pairs),
        ("services.*.build", Rule::Build),
        ("services.*.build.additional_contexts", Rule::Pairs),
        ("services.*.build.args", Rule::Pairs),
        ("services.*.build.extra_hosts", Rule::Hosts),
        ("services.*.build.labels", Rule::Pairs),
        ("services.*.build.ssh", Rule::Pairs),
        ("services.*.build.ulimits.*", Rule::Replace),
        ("services.*.command", Rule::Replace),
        ("services.*.depends_on", Rule::Dependencies),
        ("services.*.deploy.labels", Rule::Pairs),
        ("services.*.dns", Rule::Texts),
        ("services.*.dns_opt", Rule::Texts),
        ("services.*.dns_search", Rule::Texts),
        ("services.*.entrypoint", Rule::Replace),
        ("services.*.env_file", Rule::Texts),
        ("services.*.environment", Rule::Pairs),
        ("services.*.extra_hosts", Rule::Hosts),
        ("services.*.healthcheck.test", Rule::Replace),
        ("services.*.label_file", Rule::Texts),
        ("services.*.labels", Rule::Pairs),
        ("services.*.logging", Rule::Logging),
        ("services.*.models", Rule::Names),
        ("services.*.networks", Rule::Names),
        ("services.*.sysctls", Rule::Pairs),
        ("services.*.tmpfs", Rule::Texts),
        ("services.*.ulimits.*", Rule::Replace),
        ("services.*.x-naru-ready", Rule::Replace),
        ("services.*.volumes.*.volume.labels", Rule::Pairs),
    ])
});

/// What makes two entries of a list the same; the later one then takes the place of the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// The text before `=`.
    BeforeEquals,
    /// Where it is mounted.
    Target,
    /// Where it is mounted, below this directory when it only has a name.
    FileTarget(&'static str),
    /// Addresses and ports.
    Port,
    /// The text.
    Text,
    /// The path.
    Path,
    /// The device in the container.
    Device,
}

/// Which entries of lists are the same.
pub(super) static IDENTITIES: LazyLock<Table<Identity>> = LazyLock::new(|| {
    Table::new(&[
        ("networks.*.labels", Identity::BeforeEquals),
        ("services.*.annotations", Identity::BeforeEquals),
        ("services.*.build.additional_contexts", Identity::BeforeEquals),
        ("services.*.build.args", Identity::BeforeEquals),
        ("services.*.build.labels", Identity::BeforeEquals),
        ("services.*.build.tags", Identity::BeforeEquals),
        ("services.*.cap_add", Identity::BeforeEquals),
        ("services.*.cap_drop", Identity::BeforeEquals),
        ("services.*.configs", Identity::FileTarget("")),
        ("services.*.deploy.labels", Identity::BeforeEquals),
        ("services.*.devices", Identity::Device),
        ("services.*.dns", Identity::BeforeEquals),
        ("services.*.dns_opt", Identity::BeforeEquals),
        ("services.*.dns_search", Identity::BeforeEquals),
        ("services.*.env_file", Identity::Path),
        ("services.*.environment", Identity::BeforeEquals),
        ("services.*.expose", Identity::Text),
        ("services.*.labels", Identity::BeforeEquals),
        ("services.*.links", Identity::BeforeEquals),
        ("services.*.networks.*.aliases", Identity::BeforeEquals),
        ("services.*.networks.*.link_local_ips", Identity::BeforeEquals),
        ("services.*.ports", Identity::Port),
        ("services.*.profiles", Identity::BeforeEquals),
        ("services.*.secrets", Identity::FileTarget("/run/secrets")),
        ("services.*.sysctls", Identity::BeforeEquals),
        ("services.*.tmpfs", Identity::BeforeEquals),
        ("services.*.volumes", Identity::Target),
    ])
});
