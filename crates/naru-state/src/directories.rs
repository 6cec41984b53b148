//! The two directory trees of naru. `docs/state-on-disk.md` draws them.

use std::path::{Path, PathBuf};

use crate::{ContainerId, ProjectName, RootId, fit};

/// Where naru keeps its data and its run-time files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    data: PathBuf,
    run: PathBuf,
    root_id: RootId,
}

impl Directories {
    /// The directories at the given places.
    pub fn new(data: PathBuf, run: PathBuf) -> Self {
        let root_id = RootId::of(&data);
        let run = run.join(root_id.as_str());
        Self { data, run, root_id }
    }

    /// `NARU_ROOT` and `NARU_RUN`; without them `/var/lib/naru` and `/run/naru` for root, and the XDG
    /// directories for everybody else. `variable` looks up an environment variable.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>, is_root: bool) -> Self {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || path("HOME").unwrap_or_else(|| "/".into());
        let data = path("NARU_ROOT").unwrap_or_else(|| match is_root {
            true => "/var/lib/naru".into(),
            false => {
                path("XDG_DATA_HOME").unwrap_or_else(|| home().join(".local/share")).join("naru")
            }
        });
        let run = path("NARU_RUN").unwrap_or_else(|| match path("XDG_RUNTIME_DIR") {
            Some(run) if !is_root => run.join("naru"),
            _ => "/run/naru".into(),
        });
        Self::new(data, run)
    }

    /// The persistent tree, `NARU_ROOT`.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The volatile tree of this root, `NARU_RUN/<root id>`.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The image store: an OCI image layout.
    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// A named volume: its record lies here, its content in `_data`.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.data.join("volumes").join(name)
    }

    /// All named volumes.
    pub fn volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    /// What is known of a network that several projects can use: its record if it belongs to none of them, and which
    /// projects have containers in it.
    pub fn network(&self, name: &str) -> PathBuf {
        self.networks().join(name)
    }

    /// All such networks.
    pub fn networks(&self) -> PathBuf {
        self.data.join("networks")
    }

    /// All projects.
    pub fn projects(&self) -> PathBuf {
        self.data.join("projects")
    }

    /// The id that keeps this root's kernel objects apart from other roots'.
    pub fn root_id(&self) -> &RootId {
        &self.root_id
    }

    /// The directories of one project.
    pub fn project(&self, name: &ProjectName) -> ProjectDirectories {
        ProjectDirectories {
            data: self.projects().join(name.as_str()),
            run: self.run.join(fit(name.as_str(), 40)),
            name: name.clone(),
        }
    }
}

/// Where one project's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectDirectories {
    name: ProjectName,
    data: PathBuf,
    run: PathBuf,
}

impl ProjectDirectories {
    /// The project's name.
    pub fn name(&self) -> &ProjectName {
        &self.name
    }

    /// The persistent directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The volatile directory.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// What the user last asked for ([`crate::record::Project`]).
    pub fn project_file(&self) -> PathBuf {
        self.data.join("project.json")
    }

    /// The records of the project's networks ([`crate::record::Networks`]).
    pub fn networks_file(&self) -> PathBuf {
        self.data.join("networks.json")
    }

    /// What its containers did last ([`crate::record::States`]).
    pub fn states_file(&self) -> PathBuf {
        self.data.join("states.json")
    }

    /// What has happened to its containers ([`crate::events`]). It outlives them.
    pub fn events_file(&self) -> PathBuf {
        self.data.join("events")
    }

    /// How long each step of its last `up` took.
    pub fn timeline_file(&self) -> PathBuf {
        self.data.join("last-up.json")
    }

    /// The lock that whoever changes the project holds.
    pub fn lock_file(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// The lock that the project's one keeper holds.
    pub fn keeper_lock_file(&self) -> PathBuf {
        self.run.join("keeper.lock")
    }

    /// The supervisor's control socket.
    pub fn control_socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// All containers' persistent directories.
    pub fn containers(&self) -> PathBuf {
        self.data.join("containers")
    }

    /// A container's persistent directory: record, writable layer, files made for it.
    pub fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.as_str())
    }

    /// A container's record ([`crate::record::Container`]).
    pub fn container_file(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("container.json")
    }

    /// A container's volatile directory: state, FIFOs.
    pub fn container_run(&self, id: &ContainerId) -> PathBuf {
        self.run.join("containers").join(id.as_str())
    }

    /// A container's state ([`crate::record::State`]).
    pub fn state_file(&self, id: &ContainerId) -> PathBuf {
        self.container_run(id).join("state.json")
    }

    /// The container's last start ([`crate::record::Start`]), written by whoever lets its program run.
    pub fn start_file(&self, id: &ContainerId) -> PathBuf {
        self.container_run(id).join("start.json")
    }

    /// How a container's process ended ([`crate::record::Exit`]), written by the keeper.
    pub fn exit_file(&self, id: &ContainerId) -> PathBuf {
        self.container_run(id).join("exit.json")
    }

    /// The log of a container of which nothing is kept: a little of it, for as long as it runs.
    pub fn passing_log(&self, id: &ContainerId) -> PathBuf {
        self.container_run(id).join("log")
    }

    /// What a container had last written when its log had no room.
    pub fn aside(&self, id: &ContainerId) -> PathBuf {
        self.container_run(id).join("aside")
    }

    /// All logs. They outlive the containers.
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    /// The log of the container of this name.
    pub fn log(&self, container_name: &str) -> PathBuf {
        self.logs().join(fit(container_name, 200))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn from(variables: &[(&str, &str)], is_root: bool) -> (String, String) {
        let map: BTreeMap<_, _> = variables.iter().copied().collect();
        let found =
            Directories::from_environment(|name| map.get(name).map(|v| (*v).to_owned()), is_root);
        let run = found.run().parent().unwrap().display().to_string();
        (found.data().display().to_string(), run)
    }

    #[test]
    fn root_uses_the_system_directories_and_variables_override_them() {
        assert_eq!(from(&[], true), ("/var/lib/naru".into(), "/run/naru".into()));
        assert_eq!(
            from(&[("NARU_ROOT", "/d"), ("NARU_RUN", "/r")], true),
            ("/d".into(), "/r".into())
        );
    }

    #[test]
    fn ordinary_users_use_the_xdg_directories() {
        let variables = [("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        assert_eq!(
            from(&variables, false),
            ("/home/u/.local/share/naru".into(), "/run/user/7/naru".into())
        );
    }

    #[test]
    fn two_roots_never_share_a_run_directory() {
        let a = Directories::new("/a".into(), "/run/naru".into());
        let b = Directories::new("/b".into(), "/run/naru".into());
        assert_ne!(a.run(), b.run());
    }
}
