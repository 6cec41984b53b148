//! From a service to the specification of one of its containers, as Docker would make it. Pure, apart from
//! [`save`] and [`load`]: everything that has to be looked up or made is handed in.
//!
//! The supervisor asks for [`anonymous_volumes`] when it makes a container, for [`effective_user`] to look
//! it up in the root file system, and for [`build`] at every start; [`files`] has the text of the three
//! files that every container gets, [`process_of`] what `exec` and health checks run.

mod arguments;
mod capabilities;
mod environment;
mod error;
mod exec;
pub mod files;
mod healthcheck;
mod image;
mod limits;
mod mounts;
mod names;
mod namespaces;
mod security;
mod signal;
mod stored;
mod unsupported;
mod volumes;

#[cfg(test)]
mod tests;

use naru_compose::project::Service;
use naru_image::rootfs::User;
use oci_spec::runtime::{Process, Root, Spec, UserBuilder};

pub use arguments::{command, effective_user, working_directory};
pub use error::Error;
pub use exec::{Further, further_process, process_of, set_console_size, set_variable};
pub use healthcheck::{Check, healthcheck};
pub use image::Image;
pub use limits::limit_files;
pub use mounts::{FileMount, MadeFiles, Prepared, VolumeMount};
pub use names::{hostname, is_host_name};
pub use namespaces::Shared;
pub use signal::{parse as parse_signal, stop_grace, stop_signal};
pub use stored::{load, save};
pub use volumes::anonymous_volumes;

/// Everything a container's specification is made from.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The service.
    pub service: &'a Service,
    /// What its image says.
    pub image: &'a Image<'a>,
    /// The user that [`effective_user`] names, looked up in the root file system with `group_add`.
    pub user: &'a User,
    /// The host name, from [`hostname`]; the machine's own with `network_mode: host`.
    pub hostname: &'a str,
    /// The host's side of what is mounted.
    pub prepared: &'a Prepared,
    /// Namespaces of other containers to share.
    pub shared: &'a Shared,
}

/// Makes the specification of a container.
///
/// # Errors
/// When the service asks for something that does not exist or that naru cannot do.
pub fn build(inputs: &Inputs<'_>) -> Result<Spec, Error> {
    unsupported::refuse(inputs.service)?;
    // A check that cannot be run is found before the container runs.
    healthcheck(inputs.service, inputs.image)?;
    let mut spec = naru_runtime::profile::default_spec();
    let process = process(inputs, spec.process().clone().unwrap_or_default())?;
    spec.set_process(Some(process));
    let mut root = Root::default();
    root.set_readonly(Some(inputs.service.read_only));
    spec.set_root(Some(root));
    let mounts = mounts::all(inputs, spec.mounts().clone().unwrap_or_default())?;
    spec.set_mounts(Some(mounts));
    namespaces::set(inputs, &mut spec)?;
    let mut linux = spec.linux().clone().unwrap_or_default();
    security::set(inputs, &mut linux)?;
    let devices = linux.resources().as_ref().and_then(|resources| resources.devices().clone());
    linux.set_resources(Some(limits::resources(inputs.service, devices)?));
    spec.set_linux(Some(linux));
    if !inputs.service.annotations.is_empty() {
        spec.set_annotations(Some(inputs.service.annotations.clone().into_iter().collect()));
    }
    Ok(spec)
}

fn process(inputs: &Inputs<'_>, mut process: Process) -> Result<Process, Error> {
    let service = inputs.service;
    let User { uid, gid, additional_gids, .. } = inputs.user;
    let user = UserBuilder::default().uid(*uid).gid(*gid).additional_gids(additional_gids.clone());
    process.set_user(user.build()?);
    process.set_terminal(Some(service.tty));
    process.set_args(Some(arguments::checked(inputs)?));
    process.set_env(Some(environment::variables(inputs)?));
    process.set_cwd(working_directory(service, inputs.image).into());
    process.set_capabilities(Some(capabilities::sets(inputs)?));
    process.set_rlimits(Some(limits::rlimits(service)?));
    process.set_no_new_privileges(Some(security::no_new_privileges(service)?));
    process.set_oom_score_adj(Some(service.oom_score_adj));
    Ok(process)
}
