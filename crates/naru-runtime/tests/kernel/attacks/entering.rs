//! A1 to A3: the runtime's program and descriptors, and the process on its way into the container.

use std::os::unix::fs::symlink;

use oci_spec::runtime::Capability;

use super::{Attacker, add_capability, attempts, canary, outcome};
use crate::bundle::{Bundle, Output, chain, end};

crate::tests![
    the_runtimes_program_cannot_be_overwritten_through_proc,
    an_image_that_names_the_runtimes_program_runs_a_copy_that_cannot_be_written,
    an_environment_made_for_the_loader_does_nothing_to_the_runtime,
    a_working_directory_cannot_be_a_descriptor_of_the_host,
    a_further_process_cannot_start_in_a_descriptor_of_the_host,
    a_process_on_its_way_in_shows_nothing_of_the_host,
    a_debugger_inside_sees_nothing_of_the_host_in_a_process_on_its_way_in,
    a_runtime_that_runs_in_a_chroot_cannot_be_left,
];

/// Starts further processes in the attacker's container; every other one of them is the runtime's own
/// program, if asked.
fn enter_again_and_again(attacker: &Attacker, also_itself: bool) {
    for number in 0..attempts() {
        let mut process = attacker.bundle.further(&["exit", "0"]);
        if also_itself && number.is_multiple_of(2) {
            process.set_args(Some(["/proc/self/exe", "--list"].map(str::to_owned).to_vec()));
        }
        let further = attacker.bundle.exec(&attacker.process, &process, &Output::new());
        further.unwrap_or_else(|error| panic!("{}", chain(&error))).wait().unwrap();
    }
}

/// Seconds after which an attacker gives up that nobody has told to end.
const PATIENCE: &str = "600";

/// How often an attack is made again in which there was nothing to attack.
const ROUNDS: u32 = 20;

// A1, CVE-2019-5736
fn the_runtimes_program_cannot_be_overwritten_through_proc() {
    let canary = canary();
    for debugger in [false, true] {
        // On a busy machine the attacker may be asleep whenever there is something to see.
        let was_seen = (0..ROUNDS).any(|_| {
            let mut bundle = Bundle::new(&["attack", "exe-overwrite", PATIENCE]);
            if debugger {
                add_capability(&mut bundle, Capability::SysPtrace);
            }
            let attacker = Attacker::start(bundle);
            enter_again_and_again(&attacker, true);
            let said = attacker.finish();
            assert!(said.ends_with(" writable 0\n"), "{said}");
            !said.contains("seen 0 ")
        });
        assert!(was_seen, "it was never there to be seen");
    }
    canary.end(&[]);
}

// A1: the entry point is a link to, or a script run by, /proc/self/exe.
fn an_image_that_names_the_runtimes_program_runs_a_copy_that_cannot_be_written() {
    let canary = canary();
    for entry in ["/proc/self/exe", "/link", "/script"] {
        let mut bundle = Bundle::new(&[]);
        symlink("/proc/self/exe", bundle.root.join("link")).unwrap();
        fs_err::write(bundle.root.join("script"), "#!/proc/self/exe\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(bundle.root.join("script"), mode).unwrap();
        bundle.process(|process| {
            process.set_args(Some(vec![entry.to_owned(), "--list".to_owned()]));
        });
        let said = outcome(&bundle);
        // A script is the program's first argument, which no test has in its name.
        let ran = if entry == "/script" { said.is_empty() } else { said.contains("attacks::") };
        assert!(ran, "{entry}: {said}");
    }
    // As the container's program it can be looked at by all others inside, for as long as they like.
    let mut bundle = Bundle::new(&[]);
    fs_err::create_dir(bundle.root.join("links")).unwrap();
    symlink("/proc/self/exe", bundle.root.join("links/checker")).unwrap();
    bundle.process(|process| {
        process.set_args(Some(["checker", "forever"].map(str::to_owned).to_vec()));
        process.set_env(Some(vec!["PATH=/links".to_owned()]));
    });
    let container = bundle.start(&Output::new()).unwrap();
    let output = Output::new();
    let further = bundle.further(&["attack", "exe-overwrite", "1"]);
    bundle.exec(&container, &further, &output).unwrap().wait().unwrap();
    end(&container);
    let said = output.read();
    assert!(said.ends_with(" writable 0\n") && !said.contains("seen 0 "), "{said}");
    canary.end(&[]);
}

fn an_environment_made_for_the_loader_does_nothing_to_the_runtime() {
    let mut bundle = Bundle::new(&["status", "+", "env"]);
    fs_err::write(bundle.root.join("evil.so"), "no library").unwrap();
    bundle.process(|process| {
        let variables =
            ["LD_PRELOAD=/evil.so", "LD_LIBRARY_PATH=/", "RUST_LOG=trace", "NARU_ROOT=/evil"];
        process.set_env(Some(variables.map(str::to_owned).to_vec()));
    });
    let output = Output::new();
    let created = bundle.create(&output).unwrap();
    // The process of the runtime that sets the container up has an empty environment.
    let environment = fs_err::read(format!("/proc/{}/environ", created.pid)).unwrap();
    assert_eq!(String::from_utf8_lossy(&environment), "");
    created.start().unwrap().wait().unwrap();
    assert!(output.read().contains("LD_PRELOAD=/evil.so"));
}

/// Descriptors of the host without close-on-exec, as a careless caller leaves them.
fn careless_descriptors() -> Vec<std::os::fd::OwnedFd> {
    let leave = |(path, number): (&str, i32)| {
        let directory = fs_err::File::open(path).unwrap();
        let copy = rustix::io::fcntl_dupfd_cloexec(&directory, number).unwrap();
        rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty()).unwrap();
        copy
    };
    [("/", 9), ("/etc", 10), ("/root", 60)].into_iter().map(leave).collect()
}

fn directories(number: usize) -> [String; 2] {
    [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/../..")]
}

// A2, CVE-2024-21626
fn a_working_directory_cannot_be_a_descriptor_of_the_host() {
    let canary = canary();
    let secret = format!(".{}", canary.file().display());
    let _careless = careless_descriptors();
    let mut said = Vec::new();
    for directory in (0..64).flat_map(directories) {
        let mut bundle = Bundle::new(&["cwd", "+", "cat", &secret, "+", "fds"]);
        bundle.process(|process| {
            process.set_cwd(directory.clone().into());
        });
        let text = outcome(&bundle);
        let is_inside = text.starts_with('/') && text.ends_with("\n\n0 1 2\n");
        assert!(is_inside || text.starts_with("refused"), "{directory}: {text}");
        said.push(text);
    }
    canary.end(&said.iter().map(String::as_str).collect::<Vec<_>>());
}

fn a_further_process_cannot_start_in_a_descriptor_of_the_host() {
    let canary = canary();
    let secret = format!(".{}", canary.file().display());
    let bundle = Bundle::new(&["forever"]);
    let container = bundle.start(&Output::new()).unwrap();
    let _careless = careless_descriptors();
    let mut said = Vec::new();
    for directory in (0..64).flat_map(directories) {
        let mut process = bundle.further(&["cwd", "+", "cat", &secret, "+", "fds"]);
        process.set_cwd(directory.clone().into());
        let output = Output::new();
        match bundle.exec(&container, &process, &output) {
            Ok(further) => drop(further.wait().unwrap()),
            Err(error) => assert_eq!(error.stage(), Some(naru_runtime::Stage::Directory)),
        }
        let text = output.read();
        assert!(
            text.is_empty() || (text.starts_with('/') && text.ends_with("\n0 1 2\n")),
            "{text}"
        );
        said.push(text);
    }
    end(&container);
    canary.end(&said.iter().map(String::as_str).collect::<Vec<_>>());
}

fn watched(capability: Option<Capability>) -> String {
    let canary = canary();
    let mut bundle = Bundle::new(&["attack", "watch", PATIENCE, canary.file().to_str().unwrap()]);
    if let Some(capability) = capability {
        add_capability(&mut bundle, capability);
    }
    let attacker = Attacker::start(bundle);
    enter_again_and_again(&attacker, false);
    let said = attacker.finish();
    canary.end(&[&said]);
    said
}

// A3, CVE-2016-9962
fn a_process_on_its_way_in_shows_nothing_of_the_host() {
    assert_eq!(watched(None), "watching\nlooked 1\n");
}

/// With CAP_SYS_PTRACE the container may look at any process that it can see, however hidden. So the one that enters is
/// not to be seen before everything of the host is behind it; its program is the runtime's until it executes another.
fn a_debugger_inside_sees_nothing_of_the_host_in_a_process_on_its_way_in() {
    let said = watched(Some(Capability::SysPtrace));
    for leak in ["root of the host", "cwd of the host", "descriptor anon_inode"] {
        assert!(!said.contains(leak), "{said}");
    }
}

/// The name of a process that makes itself a chroot and runs a container from there.
pub(crate) const CHROOT: &str = "chroot";

/// pivot_root(2) is refused in a chroot; changing the root in the other way would let the container out of it into what
/// is around the chroot.
fn a_runtime_that_runs_in_a_chroot_cannot_be_left() {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let top = Bundle::new(&[]);
    let printed = command.arg0(CHROOT).arg(top.root.join("etc")).output().unwrap();
    let said = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(said.starts_with("refused: "), "{printed:?}");
}

/// What runs under that name: a container from inside a chroot, in a mount namespace of its own.
pub(crate) fn in_chroot(folder: &str) {
    use rustix::mount::{
        MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change,
    };
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    let top = std::path::PathBuf::from(folder);
    // The tmpfs goes with this mount namespace; the chroot is a folder in it, not its root.
    mount("tmpfs", &top, "tmpfs", MountFlags::empty(), None).unwrap();
    let root = top.join("root");
    for folder in ["proc", "dev", "sys", "tmp"] {
        fs_err::create_dir_all(root.join(folder)).unwrap();
    }
    for folder in ["proc", "dev", "sys"] {
        mount_bind_recursive(format!("/{folder}"), root.join(folder)).unwrap();
    }
    fs_err::copy(std::env::current_exe().unwrap(), root.join("program")).unwrap();
    rustix::process::chroot(&root).unwrap();
    rustix::process::chdir("/").unwrap();
    let bundle = Bundle::new_from("/program".as_ref(), &["say", "it runs"]);
    println!("{}", outcome(&bundle));
}
