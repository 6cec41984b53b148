//! Files that are no files, that have no end, and that name each other.

use std::process::Stdio;

use super::{Folder, SERVICE, run};

/// A kind of thing by its name, and how it is put into a folder.
type Kind = (&'static str, fn(Folder) -> Folder);

/// What is not a file, under the name `F`.
const KINDS: [Kind; 5] = [
    ("a pipe nobody writes to", |folder| {
        nix::unistd::mkfifo(&folder.0.join("F"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        folder
    }),
    ("an endless device", |folder| folder.link("F", "/dev/zero")),
    ("a folder", |folder| folder.file("F/inside", "")),
    ("ten gigabytes of nothing", |folder| {
        fs_err::File::create(folder.0.join("F")).unwrap().set_len(10 << 30).unwrap();
        folder
    }),
    ("a link to itself", |folder| folder.link("F", "F")),
];

/// Every kind, as the file that the text names.
fn every_kind(text: &str, arguments: &[&str]) {
    for (_, make) in KINDS {
        let folder = make(Folder::with(text));
        folder.refused(arguments, "error");
    }
}

#[test]
fn an_env_file_that_is_no_file_is_refused() {
    every_kind(&format!("{SERVICE}    env_file: F\n"), &[]);
    every_kind(&format!("{SERVICE}    env_file: [{{path: F, format: raw}}]\n"), &[]);
}

#[test]
fn a_label_file_that_is_no_file_is_refused() {
    every_kind(&format!("{SERVICE}    label_file: F\n"), &[]);
}

#[test]
fn an_included_file_that_is_no_file_is_refused() {
    every_kind(&format!("include: [F]\n{SERVICE}"), &[]);
    every_kind(&format!("include: [{{path: compose.yaml, env_file: F}}]\n{SERVICE}"), &[]);
}

#[test]
fn an_extended_file_that_is_no_file_is_refused() {
    every_kind("services: {a: {extends: {file: F, service: b}}}\n", &[]);
}

#[test]
fn a_compose_file_that_is_no_file_is_refused() {
    every_kind(SERVICE, &["-f", "F"]);
}

#[test]
fn a_file_of_variables_that_is_no_file_is_refused() {
    every_kind(SERVICE, &["--env-file", "F"]);
}

#[test]
fn the_file_of_a_secret_is_not_read() {
    for (_, make) in KINDS {
        let text = format!("{SERVICE}    secrets: [s]\nsecrets: {{s: {{file: F}}}}\n");
        make(Folder::with(text)).accepted(&[]);
    }
}

#[test]
fn standard_input_without_end_is_refused() {
    let folder = Folder::new();
    for file in ["-", "/dev/stdin", "/proc/self/fd/0"] {
        let zero = fs_err::File::open("/dev/zero").unwrap();
        let output = run(&folder.0, &["-f", file], Stdio::from(zero.into_file()));
        assert_eq!(output.status.code(), Some(1), "{file}");
    }
}

#[test]
fn files_that_include_each_other_are_refused_however_they_are_spelled() {
    let cycle = "include cycle detected";
    for back in
        ["compose.yaml", "./sub/../compose.yaml", "here/compose.yaml", "here/here/compose.yaml"]
    {
        Folder::with(format!("include: [b.yaml]\n{SERVICE}"))
            .file("b.yaml", format!("include: ['{back}']\n"))
            .link("here", ".")
            .refused(&[], cycle);
    }
    Folder::with(format!("include: [other.yaml]\n{SERVICE}"))
        .link("other.yaml", "compose.yaml")
        .refused(&[], cycle);
}

#[test]
fn services_that_extend_each_other_are_refused_however_the_files_are_spelled() {
    for back in ["compose.yaml", "./sub/../compose.yaml", "here/compose.yaml"] {
        Folder::with("services: {a: {extends: {file: b.yaml, service: b}}}\n")
            .file(
                "b.yaml",
                format!("services: {{b: {{extends: {{file: '{back}', service: a}}}}}}\n"),
            )
            .link("here", ".")
            .refused(&[], "Circular reference");
    }
}

#[test]
fn includes_that_multiply_are_refused() {
    let mut folder = Folder::with(format!("include: [f0.yaml, f0.yaml]\n{SERVICE}"));
    for number in 0..30 {
        let next = number + 1;
        let text = format!("include: [f{next}.yaml, f{next}.yaml]\n");
        folder = folder.file(&format!("f{number}.yaml"), text);
    }
    folder.file("f30.yaml", SERVICE).refused(&[], "too large");
}
