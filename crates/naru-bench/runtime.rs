//! naru's own runtime, used as the supervisor uses it: cgroups, a detached overlay, create, start, wait, remove.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use naru_image::rootfs::Overlay;
use naru_runtime::{
    Binary, Cgroup, Create, Exec, Parent, Process, Root, Stdio, create, exec, profile,
};
use oci_spec::runtime::{Process as OciProcess, Spec};

/// How many containers are started at the same time by one program.
const THREADS: usize = 8;

/// Everything that the supervisor makes once.
pub(crate) struct Runtime {
    root: PathBuf,
    scratch: PathBuf,
    spec: Spec,
    binary: Binary,
}

/// What one container has to itself.
struct Place {
    overlay: Overlay,
    cgroup: Cgroup,
}

impl Runtime {
    /// A container that runs this command.
    pub(crate) fn prepare(root: &Path, scratch: &Path, command: &[&str]) -> Result<Self> {
        let mut spec = profile::default_spec();
        spec.set_process(Some(process(&spec, command)));
        let (root, scratch) = (root.to_owned(), scratch.to_owned());
        Ok(Self { root, scratch, spec, binary: Binary::open()? })
    }

    /// The place of container number `number`; the same one again for the same number.
    fn place(&self, number: usize) -> Result<Place> {
        let overlay = Overlay {
            lower: vec![self.root.clone()],
            upper: self.scratch.join(format!("naru-upper-{number}")),
            work: self.scratch.join(format!("naru-work-{number}")),
        };
        overlay.prepare()?;
        let cgroup = Cgroup::new(format!("/naru-bench-{}-{number}", std::process::id()))?;
        Ok(Place { overlay, cgroup })
    }

    fn start(&self, place: &Place) -> Result<Process> {
        self.start_under(place, false)
    }

    /// Starts the container, with `init` under naru's own process 1.
    fn start_under(&self, place: &Place, init: bool) -> Result<Process> {
        let linux = self.spec.linux().as_ref();
        let resources = linux.and_then(|linux| linux.resources().clone()).unwrap_or_default();
        place.cgroup.create(&resources)?;
        let created = create(Create {
            spec: &self.spec,
            root: Root::Mount(place.overlay.mount()?),
            cgroup: &place.cgroup,
            stdio: Stdio::null(),
            parent: Parent::Own,
            binary: &self.binary,
            init,
            waits_at: None,
            state: None,
        })?;
        Ok(created.start()?)
    }

    /// A container from its first cgroup to the removal of the last.
    pub(crate) fn once(&self) -> Result<()> {
        let place = self.place(0)?;
        let status = self.start(&place)?.wait()?;
        place.cgroup.remove()?;
        if status.code() != Some(0) {
            bail!("/bin/true ended with {status:?}");
        }
        Ok(())
    }

    /// How long it takes until `count` containers run that are started at the same time; they are ended and removed
    /// after that.
    pub(crate) fn many(&self, count: usize) -> Result<Duration> {
        let places = (0..count).map(|number| self.place(number)).collect::<Result<Vec<_>>>()?;
        let begin = Instant::now();
        let started = std::thread::scope(|scope| {
            let share = |thread: usize| places.iter().skip(thread).step_by(THREADS);
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    scope.spawn(move || {
                        share(thread).map(|place| self.start(place)).collect::<Vec<_>>()
                    })
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_default());
            joined.flatten().collect::<Vec<Result<Process>>>()
        });
        let time = begin.elapsed();
        let failures = places.iter().filter_map(|place| place.cgroup.kill_all().err());
        let failures = failures.count();
        let mut running = Vec::new();
        for process in started {
            running.push(process?);
        }
        for process in &running {
            process.wait()?;
        }
        for place in &places {
            place.cgroup.remove()?;
        }
        if running.len() != count || failures > 0 {
            bail!("{} of {count} containers ran", running.len());
        }
        Ok(time)
    }

    /// Private memory in bytes of naru's process 1 in a container and of what the caller holds for one, on the average
    /// of `count` containers.
    pub(crate) fn memory(&self, count: usize) -> Result<usize> {
        let places = (0..count).map(|number| self.place(number)).collect::<Result<Vec<_>>>()?;
        let before = private("self")?;
        let started = places.iter().map(|place| self.start_under(place, true));
        let running = started.collect::<Result<Vec<_>>>();
        let used = running.as_ref().map_or(Ok(0), |running| -> Result<usize> {
            let inside = running.iter().map(|process| private(&process.pid.to_string()));
            let inside: usize = inside.sum::<Result<usize>>()?;
            Ok(inside + private("self")?.saturating_sub(before))
        });
        for place in &places {
            place.cgroup.kill_all()?;
        }
        for process in running? {
            process.wait()?;
        }
        for place in &places {
            place.cgroup.remove()?;
        }
        Ok(used? / count.max(1))
    }

    /// A container that runs, and how long a further process in it takes from its creation to its end, `count` times.
    pub(crate) fn further(
        &self,
        count: u32,
        quiet: Duration,
        mut report: impl FnMut(Duration),
    ) -> Result<()> {
        let place = self.place(0)?;
        let container = self.start(&place)?;
        let process = process(&self.spec, &["/bin/true"]);
        let once = || -> Result<Duration> {
            std::thread::sleep(quiet);
            let begin = Instant::now();
            let further = exec(Exec {
                spec: &self.spec,
                container: container.pidfd.as_fd(),
                process: &process,
                cgroup: &place.cgroup,
                stdio: Stdio::null(),
                parent: Parent::Own,
                binary: &self.binary,
                state: None,
            })?;
            let status = further.wait()?;
            if status.code() != Some(0) {
                bail!("/bin/true ended with {status:?}");
            }
            Ok(begin.elapsed())
        };
        let all = (0..count).try_for_each(|_| once().map(&mut report));
        place.cgroup.kill_all()?;
        container.wait()?;
        place.cgroup.remove()?;
        all
    }

    /// Makes and removes `count` containers and compares what there is afterwards with what there was before.
    pub(crate) fn cycles(&self, count: u32) -> Result<String> {
        self.once()?;
        let before = Left::now()?;
        for number in 0..count {
            self.once().with_context(|| format!("container {number}"))?;
        }
        let after = Left::now()?;
        if after != before {
            bail!("left after {count} containers: {after:?}, before: {before:?}");
        }
        Ok(format!("{count} containers, and nothing left: {after:?}"))
    }
}

/// What a container could leave behind, counted.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    descriptors: usize,
    mounts: usize,
    cgroups: usize,
    children: usize,
    threads: usize,
}

impl Left {
    fn now() -> Result<Self> {
        let count = |path: &str| -> Result<usize> { Ok(fs_err::read_dir(path)?.count()) };
        let children = fs_err::read_to_string("/proc/thread-self/children").unwrap_or_default();
        let own = format!("naru-bench-{}-", std::process::id());
        let mounts = fs_err::read_to_string("/proc/self/mountinfo")?;
        let cgroups = mounts.lines().filter(|line| line.contains(" - cgroup"));
        let cgroups = cgroups.filter_map(|line| line.split(' ').nth(4));
        let ours = |place: &str| {
            let entries = fs_err::read_dir(place).ok().into_iter().flatten().flatten();
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)).count()
        };
        Ok(Self {
            descriptors: count("/proc/self/fd")?,
            mounts: mounts.lines().count(),
            cgroups: cgroups.map(ours).sum(),
            children: children.split_whitespace().count(),
            threads: count("/proc/self/task")?,
        })
    }
}

/// What would be free without a process (`Private_Dirty` and swap, from smaps_rollup), in bytes.
fn private(process: &str) -> Result<usize> {
    let text = fs_err::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let kilobytes = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        matches!(name, "Private_Dirty" | "Swap").then_some(())?;
        value.trim().trim_end_matches(" kB").parse::<usize>().ok()
    });
    Ok(kilobytes.sum::<usize>() << 10)
}

/// The specification's process with this command.
fn process(spec: &Spec, command: &[&str]) -> OciProcess {
    let mut process = spec.process().clone().unwrap_or_default();
    process.set_args(Some(command.iter().map(|&word| word.to_owned()).collect()));
    process
}
