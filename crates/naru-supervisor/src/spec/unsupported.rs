//! Keys that a container would have to honour and naru cannot yet. The loader refuses them with their
//! place in the file before anything starts; this is the last line, so that none is ever ignored.

use naru_compose::project::{Cpus, Service};

use super::Error;

/// Refuses a service that has such a key.
pub(super) fn refuse(service: &Service) -> Result<(), Error> {
    let userns = !matches!(service.userns_mode.as_str(), "" | "host");
    let keys = [
        ("blkio_config", service.blkio_config.is_some()),
        ("cgroup_parent", !service.cgroup_parent.is_empty()),
        ("cpu_count", service.cpu_count != 0),
        ("cpu_percent", service.cpu_percent != Cpus::default()),
        ("cpu_rt_period", service.cpu_rt_period != 0),
        ("cpu_rt_runtime", service.cpu_rt_runtime != 0),
        ("credential_spec", service.credential_spec.is_some()),
        ("device_cgroup_rules", !service.device_cgroup_rules.is_empty()),
        ("devices", !service.devices.is_empty()),
        ("gpus", !service.gpus.is_empty()),
        ("isolation", !matches!(service.isolation.as_str(), "" | "default")),
        ("privileged", service.privileged),
        ("runtime", !service.runtime.is_empty()),
        ("storage_opt", !service.storage_opt.is_empty()),
        ("use_api_socket", service.use_api_socket),
        ("userns_mode", userns),
        ("volumes_from", !service.volumes_from.is_empty()),
    ];
    match keys.into_iter().find(|(_, is_set)| *is_set) {
        Some((key, _)) => Err(Error::unsupported(key)),
        None => Ok(()),
    }
}
