//! `state`: the container's state as the OCI specification has it, with what runc adds.

use std::collections::{BTreeMap, HashMap};

use naru_runtime::store::{Container, Status, Store};
use serde::Serialize;

use crate::ui;

/// Print the state of a container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
}

/// OCI runtime specification, "State"; `rootfs`, `created` and `owner` are runc's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: Status,
    bundle: String,
    rootfs: String,
    created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a String, &'a String>,
    owner: &'a str,
}

pub(crate) fn run(args: &Args, store: &Store) -> anyhow::Result<u8> {
    let container = super::open(store, &args.id)?;
    let record = container.record();
    ui::print_pretty(&State {
        oci_version: record.config.version(),
        id: &record.id,
        pid: container.pid()?,
        status: container.status()?,
        bundle: record.bundle.display().to_string(),
        rootfs: record.rootfs.display().to_string(),
        created: ui::time(record.created),
        annotations: annotations(&container),
        owner: "",
    })?;
    Ok(0)
}

/// The container's annotations, sorted.
pub(super) fn annotations(container: &Container) -> BTreeMap<&String, &String> {
    let annotations: Option<&HashMap<String, String>> =
        container.record().config.annotations().as_ref();
    annotations.into_iter().flatten().collect()
}
