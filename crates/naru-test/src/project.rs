//! A Compose project in a folder of a test host.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Outcome, Running};
use crate::host::TestHost;
use crate::wait::eventually;

/// A folder with a Compose file, in which `naru` is run.
#[derive(Debug)]
pub struct Project<'host> {
    host: &'host TestHost,
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

impl<'host> Project<'host> {
    pub(crate) fn new(host: &'host TestHost, folder: PathBuf) -> Self {
        fs_err::create_dir_all(&folder).unwrap();
        Self { host, folder, environment: Vec::new() }
    }

    /// Writes a file of the project.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        let path = self.folder.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
        self
    }

    /// Copies a folder of the repository, such as a sample, into the project.
    #[must_use]
    pub fn copy_of(self, folder: impl AsRef<Path>) -> Self {
        let source = folder.as_ref().join(".");
        let status = Command::new("cp").arg("-a").arg(source).arg(&self.folder).status();
        assert!(status.unwrap().success(), "cannot copy {}", folder.as_ref().display());
        self
    }

    /// Sets an environment variable for the project's commands.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The project's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `naru` in the project's folder, not yet running.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: I,
    ) -> Command {
        let mut command = self.host.command(arguments);
        command.current_dir(&self.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `naru` to its end.
    pub fn naru<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: I,
    ) -> Outcome {
        Running::start(&mut self.command(arguments)).wait()
    }

    /// Starts `naru` and lets it run beside the test.
    pub fn start<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: I,
    ) -> Running {
        Running::start(&mut self.command(arguments))
    }

    /// What `naru ps -a --format json` says of a service's containers.
    pub fn containers(&self, service: &str) -> Vec<serde_json::Value> {
        let listed = self.naru(["ps", "-a", "--format", "json"]).succeeds();
        let mut containers = listed.json();
        containers.retain(|container| container["Service"] == service);
        containers
    }

    /// A container's state as naru has written it down.
    ///
    /// # Panics
    /// When the service has no container.
    pub fn state(&self, service: &str) -> serde_json::Value {
        let path = self.state_path(service);
        serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
    }

    /// Where that is written.
    ///
    /// # Panics
    /// When the service has no container.
    pub fn state_path(&self, service: &str) -> PathBuf {
        let listed = self.naru(["ps", "-a", "--no-trunc", "--format", "json"]).succeeds();
        let containers = listed.json();
        let own = containers.iter().find(|container| container["Service"] == service).unwrap();
        let id = naru_state::ContainerId::try_from(own["ID"].as_str().unwrap().to_owned()).unwrap();
        let name = naru_state::ProjectName::try_from(own["Project"].as_str().unwrap().to_owned());
        self.host.directories().project(&name.unwrap()).state_file(&id)
    }

    /// Waits until the only container of a service is in this state, and gives what `ps` says of it.
    ///
    /// # Panics
    /// When that does not come to be.
    pub fn until(&self, service: &str, state: &str) -> serde_json::Value {
        eventually(&format!("{service} is {state}"), || {
            let containers = self.containers(service);
            match containers.as_slice() {
                [one] if one["State"] == state || one["Health"] == state => Ok(one.clone()),
                others => Err(format!("{others:?}")),
            }
        })
    }

    /// Waits until the logs of a service hold `text`, and gives them.
    ///
    /// # Panics
    /// When that does not come to be.
    pub fn until_logged(&self, service: &str, text: &str) -> String {
        eventually(&format!("{service} logs {text:?}"), || {
            let logs = self.naru(["logs", "--no-log-prefix", service]).stdout;
            if logs.contains(text) { Ok(logs) } else { Err(logs) }
        })
    }
}
