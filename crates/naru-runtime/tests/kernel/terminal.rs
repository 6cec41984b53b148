//! Containers and further processes with a terminal.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use oci_spec::runtime::BoxBuilder;

use crate::bundle::{Bundle, Output, end};

crate::tests![
    a_container_has_a_controlling_terminal_of_the_asked_size,
    the_console_is_the_terminal,
    a_further_process_has_a_terminal_of_its_own,
    a_terminal_works_under_the_reaper,
    the_terminal_belongs_to_nobody_else,
];

fn with_terminal(bundle: &mut Bundle) {
    bundle.process(|process| {
        process.set_terminal(Some(true));
        let size = BoxBuilder::default().height(24_u64).width(100_u64).build().unwrap();
        process.set_console_size(Some(size));
    });
}

/// What was written to a terminal whose other end is closed by now.
pub(crate) fn read(master: OwnedFd) -> String {
    let mut bytes = Vec::new();
    let mut master = File::from(master);
    let mut buffer = [0; 4096];
    // The end of a terminal is an input/output error.
    while let Ok(length) = master.read(&mut buffer) {
        if length == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

fn run(bundle: &Bundle) -> String {
    let mut process = bundle.start(&Output::new()).unwrap();
    let master = process.terminal.take().unwrap();
    process.wait().unwrap();
    read(master)
}

fn a_container_has_a_controlling_terminal_of_the_asked_size() {
    let mut bundle = Bundle::new(&["tty", "+", "fds"]);
    with_terminal(&mut bundle);
    assert_eq!(run(&bundle), "[true, true, true] 24x100 true /dev/pts/0\n\n0 1 2\n");
}

fn the_console_is_the_terminal() {
    let mut bundle = Bundle::new(&["stat", "/dev/console", "+", "cat", "/proc/self/mountinfo"]);
    with_terminal(&mut bundle);
    let seen = run(&bundle);
    assert!(seen.starts_with("char 620 0:5 136:0"), "{seen}");
    let console = seen.lines().find(|line| line.contains(" /dev/console ")).unwrap();
    assert!(console.contains(" - devpts "), "{console}");
}

fn a_further_process_has_a_terminal_of_its_own() {
    let mut bundle = Bundle::new(&["forever"]);
    with_terminal(&mut bundle);
    let container = bundle.start(&Output::new()).unwrap();
    let mut further = bundle.further(&["tty"]);
    further.set_terminal(Some(true));
    let mut process = bundle.exec(&container, &further, &Output::new()).unwrap();
    let master = process.terminal.take().unwrap();
    process.wait().unwrap();
    assert_eq!(read(master), "[true, true, true] 24x100 true /dev/pts/1\n");
    end(&container);
}

fn a_terminal_works_under_the_reaper() {
    let mut bundle = Bundle::new(&["tty"]);
    with_terminal(&mut bundle);
    bundle.init = true;
    assert_eq!(run(&bundle), "[true, true, true] 24x100 true /dev/pts/0\n");
}

fn the_terminal_belongs_to_nobody_else() {
    let mut bundle = Bundle::new(&["stat", "/dev/pts/0"]);
    with_terminal(&mut bundle);
    bundle.process(|process| {
        let user = oci_spec::runtime::UserBuilder::default().uid(1000_u32).gid(1000_u32);
        process.set_user(user.build().unwrap());
    });
    assert_eq!(run(&bundle), "char 620 1000:5 136:0\n");
}
