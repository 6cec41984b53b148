//! B6: nothing of the caller grows with the containers and processes it has made.

use naru_runtime::ExitStatus;

use super::{attempts, refused};
use crate::bundle::{Bundle, Output, end, field};

crate::tests![
    a_thousand_further_processes_leave_nothing_in_the_caller,
    refused_containers_leave_nothing_in_the_caller,
];

/// Descriptors, threads and private memory (KiB) of this process.
#[derive(Debug, Clone, Copy)]
struct Usage {
    descriptors: usize,
    threads: usize,
    memory: usize,
}

fn usage() -> Usage {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let memory = field(&status, "RssAnon").trim_end_matches(" kB").parse().unwrap();
    Usage {
        descriptors: fs_err::read_dir("/proc/self/fd").unwrap().count(),
        threads: field(&status, "Threads").parse().unwrap(),
        memory,
    }
}

/// The same after `repeat` as before, memory within a twentieth and half a megabyte for the allocator's own.
fn same_after(repeat: impl FnOnce()) {
    let before = usage();
    repeat();
    let after = usage();
    assert_eq!((after.descriptors, after.threads), (before.descriptors, before.threads));
    assert!(after.memory <= before.memory + before.memory / 20 + 512, "{before:?} {after:?}");
}

// B6, CVE-2022-23471, CVE-2025-64329
fn a_thousand_further_processes_leave_nothing_in_the_caller() {
    let bundle = Bundle::new(&["forever"]);
    let container = bundle.start(&Output::new()).unwrap();
    let once = |number: usize| {
        let mut process = bundle.further(&["exit", "0"]);
        process.set_terminal(Some(number.is_multiple_of(3)));
        if number % 3 == 1 {
            process.set_args(Some(vec!["/not/there".to_owned()]));
        }
        match bundle.exec(&container, &process, &Output::new()) {
            Ok(further) => assert_eq!(further.wait().unwrap(), ExitStatus::Exited(0)),
            Err(error) => assert_eq!(error.errno(), Some(2), "{}", refused(&error)),
        }
    };
    (0..20).for_each(once);
    // A thousand in the long form.
    same_after(|| (0..attempts() * 4).for_each(once));
    end(&container);
}

fn refused_containers_leave_nothing_in_the_caller() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.process(|process| {
        process.set_args(Some(vec!["/not/there".to_owned()]));
    });
    let once = |_: usize| drop(bundle.refusal());
    (0..20).for_each(once);
    same_after(|| (0..attempts()).for_each(once));
}
