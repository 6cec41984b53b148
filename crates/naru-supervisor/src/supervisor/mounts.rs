//! What is put into a container from outside: bind sources, volumes with their first content, secrets and
//! configs, and the three files that every container gets.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use fs_err as fs;
use naru_compose::project::{FileObject, FileReference, Mount, MountKind, NetworkMode};
use naru_image::rootfs;

use super::start::Job;
use crate::protocol::{Caller, Failure};
use crate::spec;

/// Makes and finds all of it.
pub(super) fn prepare(
    job: &Job,
    root: BorrowedFd<'_>,
    user: &rootfs::User,
) -> Result<spec::Prepared, Box<Failure>> {
    let key = |attribute: &str| format!("services.{}.{attribute}", job.record.service);
    let mut prepared = spec::Prepared::default();
    for (index, mount) in job.service.volumes.iter().enumerate() {
        if mount.kind == MountKind::Bind {
            bind_source(mount, job.caller)
                .map_err(|failure| Box::new(failure.at(key(&format!("volumes.{index}")))))?;
        }
    }
    for (target, volume) in &job.record.volumes {
        let data = job.directories.volume(volume).join("_data");
        fill_volume(job, root, target, &data)
            .map_err(|error| Box::new(Failure::from_error(&*error).at(key("volumes"))))?;
        prepared.volumes.push(spec::VolumeMount { target: target.clone(), source: data });
    }
    let all = [
        ("secrets", &job.service.secrets, &job.model.secrets),
        ("configs", &job.service.configs, &job.model.configs),
    ];
    for (kind, references, definitions) in all {
        for reference in references {
            let file = definitions.get(&reference.source).map_or_else(
                || Err(io::ErrorKind::NotFound.into()),
                |d| file_source(job, kind, reference, d, user),
            );
            let source = file.map_err(|error| {
                let message = format!("{kind} {} cannot be read", reference.source);
                Box::new(
                    Failure { message, causes: vec![error.to_string()], ..Failure::default() }
                        .at(key(kind)),
                )
            })?;
            prepared.files.push(spec::FileMount { target: file_target(kind, reference), source });
        }
    }
    prepared.made = Some(match &job.joined {
        Some(joined) => joined.files.clone(),
        None => make_files(job)?,
    });
    Ok(prepared)
}

/// /etc/hosts, /etc/hostname and /etc/resolv.conf.
fn make_files(job: &Job) -> Result<spec::MadeFiles, Box<Failure>> {
    let text = texts(job).map_err(|error| {
        let key = format!("services.{}.{}", job.record.service, error.attribute());
        Box::new(Failure::from_error(&error).at(key))
    })?;
    let directory = job.own.container_run(&job.record.id);
    // The run directory does not survive a reboot, the container does.
    fs::create_dir_all(&directory).map_err(|error| Box::new(Failure::from_error(&error)))?;
    let made = spec::MadeFiles {
        hosts: directory.join("hosts"),
        hostname: directory.join("hostname"),
        resolv_conf: directory.join("resolv.conf"),
    };
    for (path, text) in [&made.hosts, &made.hostname, &made.resolv_conf].into_iter().zip(text) {
        let written = fs::write(path, text)
            .and_then(|()| fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)));
        written.map_err(|error| Box::new(Failure::from_error(&error)))?;
    }
    Ok(made)
}

fn texts(job: &Job) -> Result<[String; 3], spec::Error> {
    let host = |path| fs::read_to_string(path).unwrap_or_default();
    let resolver =
        spec::files::Resolver::parse(&host("/etc/resolv.conf")).with_service(&job.service)?;
    let hostname = spec::files::hostname(&job.hostname())?;
    if matches!(job.service.network_mode, Some(NetworkMode::Host)) {
        let hosts = spec::files::hosts_of_host(&host("/etc/hosts"), &job.service.extra_hosts)?;
        return Ok([hosts, hostname, spec::files::resolv_conf_of_host(&resolver)]);
    }
    let addresses: Vec<_> = job.networks.iter().flat_map(|(_, a)| a.addresses()).collect();
    let own = spec::files::Own {
        hostname: &job.record.hostname,
        domainname: &job.service.domainname,
        addresses: &addresses,
        host_gateway: host_gateway(job),
    };
    let hosts = spec::files::hosts(&job.service.extra_hosts, &own)?;
    let resolv_conf = match job.networks.is_empty() {
        true => spec::files::resolv_conf_of_host(&resolver),
        false => spec::files::resolv_conf(&resolver),
    };
    Ok([hosts, hostname, resolv_conf])
}

/// The host as the container sees it: the gateway of its first network that has one, IPv4 before IPv6. Where a network
/// has no bridge, its gateway is somebody else.
fn host_gateway(job: &Job) -> Option<IpAddr> {
    let networks = job.networks.iter().map(|(network, _)| network);
    let networks = || networks.clone().filter(|network| network.kind == naru_net::Kind::Bridge);
    let v4 = networks().find_map(naru_net::Network::gateway_v4).map(IpAddr::V4);
    v4.or_else(|| networks().find_map(naru_net::Network::gateway_v6).map(IpAddr::V6))
}

/// A bind source exists, or is made where the file allows that; what is made belongs to the calling user.
fn bind_source(mount: &Mount, caller: Option<Caller>) -> Result<(), Failure> {
    let path = Path::new(&mount.source);
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    if !mount.bind.as_ref().is_some_and(|bind| bind.create_host_path) {
        let message = format!("bind source path does not exist: {}", mount.source);
        return Err(Failure { message, ..Failure::default() });
    }
    make_directories(path, caller).map_err(|error| Failure {
        message: format!("bind source {} could not be made", mount.source),
        causes: vec![error.to_string()],
        ..Failure::default()
    })
}

fn make_directories(path: &Path, caller: Option<Caller>) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|path| !path.exists()).collect();
    for directory in missing.into_iter().rev() {
        std::fs::DirBuilder::new().mode(0o755).create(directory)?;
        if let Some(Caller { uid, gid }) = caller {
            chown(directory, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// The first use of a volume copies what the image has at its place.
fn fill_volume(
    job: &Job,
    root: BorrowedFd<'_>,
    target: &str,
    data: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(data)?;
    let wants = |mount: &&Mount| mount.target == target;
    let options = job.service.volumes.iter().find(wants).and_then(|mount| mount.volume.as_ref());
    if options.is_none_or(|options| !options.nocopy) {
        rootfs::copy_up(root, target, data)?;
    }
    Ok(())
}

/// The file itself, or a file made of its content, which lies in the run directory and goes with it.
fn file_source(
    job: &Job,
    kind: &str,
    reference: &FileReference,
    definition: &FileObject,
    user: &rootfs::User,
) -> io::Result<PathBuf> {
    if !definition.file.is_empty() {
        let path = PathBuf::from(&definition.file);
        fs::metadata(&path)?;
        return Ok(path);
    }
    let directory = job.own.container_run(&job.record.id).join(kind);
    fs::create_dir_all(&directory)?;
    let path = directory.join(naru_state::fit(&reference.source, 200));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::write(&path, &definition.content)?;
    let id = |text: &str| text.parse().ok();
    let uid = id(&reference.uid).unwrap_or(user.uid);
    let gid = id(&reference.gid).unwrap_or(user.gid);
    chown(&path, Some(uid), Some(gid))?;
    let mode = reference.mode.map_or(0o444, |mode| mode.0);
    fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    Ok(path)
}

fn file_target(kind: &str, reference: &FileReference) -> String {
    let name = if reference.target.is_empty() { &reference.source } else { &reference.target };
    match (name.starts_with('/'), kind) {
        (true, _) => name.clone(),
        (false, "secrets") => format!("/run/secrets/{name}"),
        (false, _) => format!("/{name}"),
    }
}
