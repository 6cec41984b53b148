//! Which namespaces a container has of its own, shares or borrows from the host, and what follows from it:
//! kernel parameters, host name and domain name.

use std::path::{Path, PathBuf};

use naru_compose::project::NetworkMode;
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Spec};

use super::{Error, Inputs, names};

/// Namespaces of other containers, as paths below `/proc` or of kept descriptors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// For `network_mode: service:NAME`.
    pub network: Option<PathBuf>,
    /// For `pid: service:NAME`.
    pub pid: Option<PathBuf>,
}

/// Where a namespace comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source<'a> {
    Own,
    Host,
    Of(&'a Path),
}

/// Sets namespaces, kernel parameters and names.
pub(super) fn set(inputs: &Inputs<'_>, spec: &mut Spec) -> Result<(), Error> {
    let network = network(inputs)?;
    let uts = uts(inputs)?;
    let ipc = ipc(inputs)?;
    let mut linux = spec.linux().clone().unwrap_or_default();
    let namespaces = [
        (LinuxNamespaceType::Mount, Source::Own),
        (LinuxNamespaceType::Uts, uts),
        (LinuxNamespaceType::Ipc, ipc),
        (LinuxNamespaceType::Pid, pid(inputs)?),
        (LinuxNamespaceType::Network, network),
        (LinuxNamespaceType::Cgroup, cgroup(inputs)?),
    ];
    // By default there is one where the kernel has them; nothing of Compose is about it.
    let is_time = |one: &LinuxNamespace| one.typ() == LinuxNamespaceType::Time;
    let time = linux.namespaces().iter().flatten().find(|one| is_time(one)).cloned();
    let namespaces: Result<Vec<LinuxNamespace>, Error> = namespaces
        .into_iter()
        .filter_map(|(kind, source)| namespace(kind, source))
        .chain(time.map(Ok))
        .collect();
    linux.set_namespaces(Some(namespaces?));

    let mut sysctl = linux.sysctl().clone().unwrap_or_default();
    if network != Source::Own {
        sysctl.retain(|name, _| !name.starts_with("net."));
    }
    for (name, value) in &inputs.service.sysctls {
        check_sysctl(name, network, ipc)?;
        sysctl.insert(name.clone(), value.clone());
    }
    linux.set_sysctl(Some(sysctl));
    spec.set_linux(Some(linux));

    spec.set_hostname(None);
    if uts == Source::Own {
        let domain = &inputs.service.domainname;
        names::check_host_name("hostname", inputs.hostname)?;
        if domain.is_empty() {
            spec.set_hostname(Some(inputs.hostname.to_owned()));
        } else {
            names::check_host_name("domainname", domain)?;
            spec.set_hostname(Some(format!("{}.{domain}", inputs.hostname)));
            spec.set_domainname(Some(domain.clone()));
        }
    }
    Ok(())
}

fn namespace(
    kind: LinuxNamespaceType,
    source: Source<'_>,
) -> Option<Result<LinuxNamespace, Error>> {
    let builder = LinuxNamespaceBuilder::default().typ(kind);
    let builder = match source {
        Source::Own => builder,
        Source::Of(path) => builder.path(path),
        Source::Host => return None,
    };
    Some(builder.build().map_err(Error::from))
}

fn network<'a>(inputs: &Inputs<'a>) -> Result<Source<'a>, Error> {
    match &inputs.service.network_mode {
        None | Some(NetworkMode::None) => Ok(Source::Own),
        Some(NetworkMode::Host) => Ok(Source::Host),
        Some(mode @ (NetworkMode::Service(_) | NetworkMode::Container(_))) => {
            borrowed("network_mode", &mode.to_string(), inputs.shared.network.as_deref())
        }
        Some(mode) => Err(Error::unsupported(format!("network_mode \"{mode}\""))),
    }
}

fn pid<'a>(inputs: &Inputs<'a>) -> Result<Source<'a>, Error> {
    match inputs.service.pid.as_str() {
        "" => Ok(Source::Own),
        "host" => Ok(Source::Host),
        mode => borrowed("pid", mode, inputs.shared.pid.as_deref()),
    }
}

fn ipc<'a>(inputs: &Inputs<'a>) -> Result<Source<'a>, Error> {
    match inputs.service.ipc.as_str() {
        "" | "private" | "shareable" => Ok(Source::Own),
        "host" => Ok(Source::Host),
        mode => Err(Error::unsupported(format!("ipc \"{mode}\""))),
    }
}

/// With the host's network a container has the host's name as well, unless it asks for one.
fn uts<'a>(inputs: &Inputs<'a>) -> Result<Source<'a>, Error> {
    match inputs.service.uts.as_str() {
        "" => Ok(Source::Own),
        "host" => Ok(Source::Host),
        mode => Err(Error::invalid("uts", format!("\"{mode}\" is not \"host\""))),
    }
}

fn cgroup<'a>(inputs: &Inputs<'a>) -> Result<Source<'a>, Error> {
    match inputs.service.cgroup.as_str() {
        "" | "private" => Ok(Source::Own),
        "host" => Ok(Source::Host),
        mode => {
            let problem = format!("\"{mode}\" is neither \"host\" nor \"private\"");
            Err(Error::invalid("cgroup", problem))
        }
    }
}

fn borrowed<'a>(key: &str, mode: &str, path: Option<&'a Path>) -> Result<Source<'a>, Error> {
    match path {
        Some(path) => Ok(Source::Of(path)),
        None => Err(Error::unsupported(format!("{key} \"{mode}\""))),
    }
}

/// Only parameters of the container's own namespaces: anything else would change the host.
fn check_sysctl(name: &str, network: Source<'_>, ipc: Source<'_>) -> Result<(), Error> {
    const OF_IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let refuse = |problem: &str| Err(Error::invalid(&format!("sysctls.{name}"), problem));
    if name.contains("..") || name.contains(['/', '\0']) {
        return refuse("is not the name of a kernel parameter");
    }
    if name.starts_with("net.") {
        return if network == Source::Own {
            Ok(())
        } else {
            refuse("is not allowed without a network namespace of its own")
        };
    }
    if OF_IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return if ipc == Source::Own {
            Ok(())
        } else {
            refuse("is not allowed in the host's IPC namespace")
        };
    }
    refuse("belongs to no namespace and would change the host")
}
