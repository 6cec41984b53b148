//! The table of commands in README.md names all there are, and no others.

use std::collections::BTreeSet;
use std::process::Command;

/// What `naru WORDS --help` lists as commands.
fn commands(words: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_naru")).args(words).arg("--help").output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    let names = lines.filter(|line| !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn the_readme_names_every_command() {
    let readme = super::read("README.md");
    let table = readme.lines().skip_while(|line| *line != "| command | what it does |").skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let named: BTreeSet<String> = names.map(str::to_owned).collect();
    let mut there = commands(&[]);
    there.remove("help");
    assert!(there.remove("system"));
    there.extend(commands(&["system"]).iter().map(|name| format!("system {name}")));
    there.remove("system help");
    assert_eq!(named, there);
}
