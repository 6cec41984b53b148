//! Volumes and devices written as one text.

use crate::path::Path;
use crate::problem::Code;
use crate::project::{BindOptions, Mount, MountKind, VolumeOptions};
use crate::report::Report;
use crate::source::Position;
use crate::tree::{Made, Map, Node, Value};

/// The parts of a volume's short form.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts<'t> {
    source: &'t str,
    target: &'t str,
    options: Vec<&'t str>,
    /// Whether it is so short that docker compose does not look for a source.
    bare: bool,
    /// Whether there is nothing between two colons.
    gap: bool,
}

/// Where a volume's short form mounts; the whole text when it is not valid.
pub(crate) fn mount_target(text: &str) -> String {
    split(text).map_or(text, |parts| parts.target).to_owned()
}

fn split(text: &str) -> Result<Parts<'_>, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() <= 2 {
        return Ok(Parts { target: text, bare: true, ..Parts::default() });
    }
    let sections = sections(text);
    let gap = sections.contains(&"");
    match sections[..] {
        [target] => Ok(Parts { target, gap, ..Parts::default() }),
        [source, target] => Ok(Parts { source, target, gap, ..Parts::default() }),
        [source, target, options] => {
            let options = options.split(',').collect();
            Ok(Parts { source, target, options, bare: false, gap })
        }
        _ => Err("it has too many colons"),
    }
}

/// The texts between colons; a single letter before a colon is a drive of Windows, and a colon
/// between the braces of a variable is part of it.
fn sections(text: &str) -> Vec<&str> {
    let mut sections = Vec::with_capacity(3);
    let (mut start, mut open, mut before) = (0, 0_usize, ' ');
    for (index, c) in text.char_indices() {
        match c {
            '{' if before == '$' || open > 0 => open += 1,
            '}' => open = open.saturating_sub(1),
            ':' if open == 0 && !is_letter(&text[start..index]) => {
                sections.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
        before = c;
    }
    sections.push(&text[start..]);
    sections
}

fn is_letter(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
}

/// Whether a source is a path rather than the name of a volume.
fn is_path(source: &str) -> bool {
    let drive = source.split_once(':').is_some_and(|(drive, _)| is_letter(drive));
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || drive
}

/// Turns a volume's short form into the long one.
pub(super) fn mount(node: &mut Node, path: &Path, report: &mut Report) {
    let Value::Text(text) = &node.value else { return };
    let parts = split(text).and_then(|parts| {
        if parts.gap { Err("a part between colons is empty") } else { Ok(parts) }
    });
    let parts = match parts {
        Ok(parts) => {
            warn_of_drive(text, &parts, (node.at, path), report);
            parts
        }
        Err(reason) => {
            let message = format!("`{text}` is not a volume: {reason}");
            let hint = "write \"source:target\" or \"source:target:options\"";
            report.error(node.at, path, message).hint(hint);
            node.value = Value::Broken;
            return;
        }
    };
    node.value = Value::Map(long_form(node.at, &parts));
}

/// The mount of a text, its source as written.
pub(crate) fn mount_of(text: &str) -> Result<Mount, String> {
    let refuse = |reason: &str| format!("`{text}` is not a volume: {reason}");
    let parts = split(text).map_err(refuse)?;
    if !parts.bare && sections(text).iter().any(|part| part.is_empty()) {
        return Err(refuse("a part between colons is empty"));
    }
    let is_bind = is_path(parts.source);
    let mut bind = BindOptions { create_host_path: true, ..BindOptions::default() };
    let mut volume = VolumeOptions::default();
    let mut read_only = false;
    for option in parts.options {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "nocopy" => volume.nocopy = true,
            "z" | "Z" => bind.selinux = option.to_owned(),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                bind.propagation = option.to_owned();
            }
            _ => {}
        }
    }
    Ok(Mount {
        kind: if is_bind { MountKind::Bind } else { MountKind::Volume },
        source: parts.source.to_owned(),
        target: parts.target.to_owned(),
        read_only,
        bind: is_bind.then_some(bind),
        volume: (!is_bind).then_some(volume),
        ..Mount::default()
    })
}

/// A name of one letter is read as a drive of Windows, which is hardly ever meant.
fn warn_of_drive(text: &str, parts: &Parts, at: (Position, &Path), report: &mut Report) {
    let read = if parts.source.is_empty() { parts.target } else { parts.source };
    let Some((letter, rest)) = read.split_once(':') else { return };
    if is_letter(letter) && !rest.starts_with('\\') {
        let message = format!("`{letter}:` in `{text}` is read as a drive of Windows");
        let hint = "a volume needs a name of two characters or more in the short form";
        report.warning(at.0, at.1, message).code(Code::DRIVE_LETTER).hint(hint);
    }
}

fn long_form(at: Position, parts: &Parts<'_>) -> Map {
    let text = |text: &str| Node::made_text(at, text, Made::ShortForm);
    let flag = || Node::made(at, Value::Bool(true), Made::ShortForm);
    let is_bind = is_path(parts.source);
    let (mut map, mut bind, mut volume) = (Map::default(), Map::default(), Map::default());
    map.set("type", text(if is_bind { "bind" } else { "volume" }));
    if !parts.source.is_empty() {
        map.set("source", text(parts.source));
    }
    map.set("target", text(parts.target));
    let mut read_only = false;
    for option in &parts.options {
        match *option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "nocopy" => volume.set("nocopy", flag()),
            "z" | "Z" => bind.set("selinux", text(option)),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                bind.set("propagation", text(option));
            }
            _ => {}
        }
    }
    if read_only {
        map.set("read_only", flag());
    }
    if is_bind {
        let created = Node::made(at, Value::Bool(true), Made::CreateHostPath);
        bind.set("create_host_path", created);
    }
    if !bind.0.is_empty() {
        map.set("bind", Node::new(at, Value::Map(bind)));
    }
    if !volume.0.is_empty() || !(is_bind || parts.bare) {
        map.set("volume", Node::new(at, Value::Map(volume)));
    }
    map
}

/// Turns a device's short form into the long one.
pub(super) fn device(node: &mut Node, path: &Path, report: &mut Report) {
    let Value::Text(text) = &node.value else { return };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => {
            let message = format!("`{text}` is not a device");
            report.error(node.at, path, message).hint("write \"source:target:permissions\"");
            node.value = Value::Broken;
            return;
        }
    };
    let mut map = Map::default();
    for (key, value) in [("source", source), ("target", target), ("permissions", permissions)] {
        map.set(key, Node::made_text(node.at, value, Made::ShortForm));
    }
    node.value = Value::Map(map);
}
