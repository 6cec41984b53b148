//! A root file system in a temporary folder and a specification, ready to be changed and run.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use naru_runtime::{
    Binary, Cgroup, Create, Error, Exec, ExitStatus, Parent, Process, Root, Stdio, create, exec,
    profile,
};
use oci_spec::runtime::{Mount, MountBuilder, Process as OciProcess, Spec, State};
use rustix::fs::MemfdFlags;

/// Where the program that looks around is in every container.
pub(crate) const CHECKER: &str = "/checker";

/// Name of the process that stands between the harness and a container.
pub(crate) const MIDDLE: &str = "middle";

/// A container that can be run, with Docker's defaults.
pub(crate) struct Bundle {
    pub(crate) root: PathBuf,
    /// What was made, and what is removed: a test may set `root` to a folder of the host.
    folder: PathBuf,
    pub(crate) spec: Spec,
    pub(crate) cgroup: Cgroup,
    pub(crate) init: bool,
    /// The runtime is told which container it is.
    pub(crate) is_known: bool,
    pub(crate) parent: Parent,
    binary: Binary,
}

/// What a container printed and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) output: String,
    pub(crate) status: ExitStatus,
}

/// A file in memory that collects output.
pub(crate) struct Output(File);

impl Output {
    pub(crate) fn new() -> Self {
        let file = rustix::fs::memfd_create("output", MemfdFlags::CLOEXEC).unwrap();
        Self(File::from(file))
    }

    pub(crate) fn end(&self) -> Option<OwnedFd> {
        Some(OwnedFd::from(self.0.try_clone().unwrap()))
    }

    pub(crate) fn read(mut self) -> String {
        let mut text = String::new();
        self.0.rewind().unwrap();
        self.0.read_to_string(&mut text).unwrap();
        text
    }
}

impl Bundle {
    /// A bundle whose command is the checker with these arguments.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self::new_from(&std::env::current_exe().unwrap(), arguments)
    }

    /// As [`new`](Self::new), with this program's file at another path.
    pub(crate) fn new_from(program: &Path, arguments: &[&str]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("naru-runtime-test-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs_err::create_dir_all(root.join("etc")).unwrap();
        fs_err::write(root.join("etc/marker"), "image").unwrap();
        let mut bundle = Self {
            folder: root.clone(),
            root,
            spec: profile::default_spec(),
            cgroup: Cgroup::none(),
            init: false,
            is_known: true,
            parent: Parent::Own,
            binary: Binary::open().unwrap(),
        };
        bundle.mount(bind(program, CHECKER, &["bind", "ro"]));
        bundle.arguments(arguments);
        bundle
    }

    /// Sets the checker's arguments.
    pub(crate) fn arguments(&mut self, arguments: &[&str]) -> &mut Self {
        let command = [CHECKER].iter().chain(arguments).map(|&text| text.to_owned()).collect();
        self.process(|process| {
            process.set_args(Some(command));
        })
    }

    /// Changes the process of the specification.
    pub(crate) fn process(&mut self, change: impl FnOnce(&mut OciProcess)) -> &mut Self {
        let mut process = self.spec.process().clone().unwrap();
        change(&mut process);
        self.spec.set_process(Some(process));
        self
    }

    /// Replaces fields of the specification; objects are merged, anything else is replaced.
    pub(crate) fn configure(&mut self, fields: serde_json::Value) -> &mut Self {
        let mut spec = serde_json::to_value(&self.spec).unwrap();
        merge(&mut spec, fields);
        self.spec = serde_json::from_value(spec).unwrap();
        self
    }

    /// Adds a namespace to the specification, or gives the one of this kind a path.
    pub(crate) fn namespace(&mut self, kind: &str, path: Option<&str>) -> &mut Self {
        let mut spec = serde_json::to_value(&self.spec).unwrap();
        let list = spec["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|namespace| namespace["type"] != kind);
        list.push(match path {
            Some(path) => serde_json::json!({"type": kind, "path": path}),
            None => serde_json::json!({"type": kind}),
        });
        self.spec = serde_json::from_value(spec).unwrap();
        self
    }

    /// Takes a namespace out of the specification, so that the host's is used.
    pub(crate) fn without_namespace(&mut self, kind: &str) -> &mut Self {
        let mut spec = serde_json::to_value(&self.spec).unwrap();
        let list = spec["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|namespace| namespace["type"] != kind);
        self.spec = serde_json::from_value(spec).unwrap();
        self
    }

    /// Adds a user namespace whose first 65536 ids are the host's from `first` on, and gives the root
    /// file system to its root.
    pub(crate) fn user_namespace(&mut self, first: u32) -> &mut Self {
        for path in [self.root.clone(), self.root.join("etc"), self.root.join("etc/marker")] {
            std::os::unix::fs::chown(path, Some(first), Some(first)).unwrap();
        }
        let map = serde_json::json!([{"containerID": 0, "hostID": first, "size": 65536}]);
        self.namespace("user", None)
            .configure(serde_json::json!({"linux": {"uidMappings": map, "gidMappings": map,
                "sysctl": {"net.ipv4.ping_group_range": "0 65535"}}}))
    }

    /// Adds a mount.
    pub(crate) fn mount(&mut self, mount: Mount) -> &mut Self {
        let mut mounts = self.spec.mounts().clone().unwrap_or_default();
        mounts.push(mount);
        self.spec.set_mounts(Some(mounts));
        self
    }

    /// Creates the container, with this standard output and error.
    pub(crate) fn create(&self, output: &Output) -> Result<naru_runtime::Created, Error> {
        self.create_with(output, None, Vec::new())
    }

    /// Creates the container to wait at a socket of its own, with further descriptors.
    pub(crate) fn create_with(
        &self,
        output: &Output,
        waits_at: Option<OwnedFd>,
        further: Vec<OwnedFd>,
    ) -> Result<naru_runtime::Created, Error> {
        create(Create {
            spec: &self.spec,
            root: Root::Path(&self.root),
            cgroup: &self.cgroup,
            stdio: Stdio { stdin: None, stdout: output.end(), stderr: output.end(), further },
            parent: self.parent,
            binary: &self.binary,
            init: self.init,
            waits_at,
            state: self.is_known.then(|| self.state()).as_ref(),
        })
    }

    /// Which container it is.
    pub(crate) fn state(&self) -> State {
        let mut state = State::default();
        state.set_version("1.2.0".to_owned()).set_id("the-container".to_owned());
        state.set_bundle(self.folder.clone());
        state
    }

    /// Creates and starts it.
    pub(crate) fn start(&self, output: &Output) -> Result<Process, Error> {
        self.create(output)?.start()
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Outcome {
        let output = Output::new();
        let process = self.start(&output).unwrap_or_else(|error| panic!("{}", chain(&error)));
        let status = process.wait().unwrap();
        Outcome { output: output.read(), status }
    }

    /// Runs the checker to its end and returns what it said; it must succeed.
    pub(crate) fn check(&self) -> String {
        let outcome = self.run();
        assert_eq!(outcome.status, ExitStatus::Exited(0), "{}", outcome.output);
        outcome.output
    }

    /// The error of a container that cannot be started.
    pub(crate) fn refusal(&self) -> Error {
        match self.start(&Output::new()) {
            Ok(process) => panic!("it runs as {}", process.pid),
            Err(error) => error,
        }
    }

    /// Runs a further process in a container of this bundle.
    pub(crate) fn exec(
        &self,
        container: &Process,
        process: &OciProcess,
        output: &Output,
    ) -> Result<Process, Error> {
        exec(Exec {
            spec: &self.spec,
            container: container.pidfd.as_fd(),
            process,
            cgroup: &self.cgroup,
            stdio: Stdio { stdout: output.end(), stderr: output.end(), ..Stdio::null() },
            parent: Parent::Own,
            binary: &self.binary,
            state: Some(&self.state()),
        })
    }

    /// The specification's process with other arguments for the checker.
    pub(crate) fn further(&self, arguments: &[&str]) -> OciProcess {
        let mut process = self.spec.process().clone().unwrap();
        let command = [CHECKER].iter().chain(arguments).map(|&text| text.to_owned()).collect();
        process.set_args(Some(command));
        process.set_terminal(Some(false));
        process
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let own = self.folder.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
        if own.starts_with("naru-runtime-test-") {
            drop(fs_err::remove_dir_all(&self.folder));
        }
    }
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match (into, from) {
        (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// A bind mount.
pub(crate) fn bind(source: impl AsRef<Path>, target: &str, options: &[&str]) -> Mount {
    mount("bind", source.as_ref().to_str().unwrap(), target, options)
}

/// Any mount.
pub(crate) fn mount(kind: &str, source: &str, target: &str, options: &[&str]) -> Mount {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    MountBuilder::default()
        .typ(kind)
        .source(source)
        .destination(target)
        .options(options)
        .build()
        .unwrap()
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// Kills a container's first process and reaps it.
pub(crate) fn end(process: &Process) -> ExitStatus {
    process.signal(rustix::process::Signal::KILL).unwrap();
    process.wait().unwrap()
}

/// The line of a `/proc/PID/status` that begins with `name`, without the name.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}
