//! Measures create, start and exit of a static program, and exec into a container:
//! `bench ROOTFS ROUNDS COMMAND…`.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::path::Path;
use std::time::{Duration, Instant};

use naru_runtime::{Binary, Cgroup, Create, Exec, Parent, Root, Stdio, create, exec, profile};
use oci_spec::runtime::Spec;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    naru_runtime::run_role_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, rounds, command @ ..] = arguments.as_slice() else {
        return Err("usage: bench ROOTFS ROUNDS COMMAND…".into());
    };
    let rounds: usize = rounds.parse()?;
    let binary = Binary::open()?;
    let spec = spec(command);
    let group = Cgroup::new(format!("/naru-bench-{}", std::process::id()))?;
    let resources = spec.linux().clone().unwrap_or_default().resources().clone();
    let resources = resources.unwrap_or_default();

    let bare = Cgroup::none();
    median("create, start, exit without cgroups", rounds, || {
        run(&spec, Path::new(root), &bare, &binary)
    })?;
    median("the same with cgroups made and removed", rounds, || {
        group.create(&resources)?;
        run(&spec, Path::new(root), &group, &binary)?;
        Ok(group.remove()?)
    })?;
    let mut quiet = Vec::new();
    median("the same after 200 ms of quiet (without them)", rounds.min(20), || {
        std::thread::sleep(Duration::from_millis(200));
        let begin = Instant::now();
        group.create(&resources)?;
        run(&spec, Path::new(root), &group, &binary)?;
        group.remove()?;
        quiet.push(begin.elapsed());
        Ok(())
    })?;
    quiet.sort();
    println!("  of which not asleep: median {:?}", quiet[quiet.len() / 2]);

    group.create(&resources)?;
    let sleeper = self::spec(&["/bin/busybox", "sleep", "1000"].map(str::to_owned));
    let created = create(Create {
        spec: &sleeper,
        root: Root::Path(Path::new(root)),
        cgroup: &group,
        stdio: Stdio::null(),
        parent: Parent::Own,
        binary: &binary,
        init: false,
        waits_at: None,
        state: None,
    })?;
    let container = created.start()?;
    let process = spec.process().clone().unwrap_or_default();
    median("exec and exit", rounds, || {
        let process = exec(Exec {
            spec: &spec,
            container: std::os::fd::AsFd::as_fd(&container.pidfd),
            process: &process,
            cgroup: &group,
            stdio: Stdio::null(),
            parent: Parent::Own,
            binary: &binary,
            state: None,
        })?;
        process.wait()?;
        Ok(())
    })?;
    group.kill_all()?;
    container.wait()?;
    group.remove()?;
    Ok(())
}

fn spec(command: &[String]) -> Spec {
    let mut spec = profile::default_spec();
    let mut process = spec.process().clone().unwrap_or_default();
    process.set_args(Some(command.to_vec()));
    spec.set_process(Some(process));
    spec
}

fn run(
    spec: &Spec,
    root: &Path,
    cgroup: &Cgroup,
    binary: &Binary,
) -> Result<(), Box<dyn std::error::Error>> {
    let created = create(Create {
        spec,
        root: Root::Path(root),
        cgroup,
        stdio: Stdio::inherit()?,
        parent: Parent::Own,
        binary,
        init: false,
        waits_at: None,
        state: None,
    })?;
    created.start()?.wait()?;
    Ok(())
}

fn median(
    what: &str,
    rounds: usize,
    mut round: impl FnMut() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        round()?;
        times.push(begin.elapsed());
    }
    times.sort();
    let at = |place: usize| times.get(place).copied().unwrap_or_default().as_secs_f64() * 1000.0;
    let (tenth, middle) = (at(times.len() / 10), at(times.len() / 2));
    println!("{what}: median {middle:.2} ms, best tenth {tenth:.2} ms");
    Ok(())
}
