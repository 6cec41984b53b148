//! Making relative paths absolute: the table of attributes that are paths, and how each is read.

use std::path::Path as FilePath;
use std::sync::LazyLock;

use super::files::clean;
use crate::path::{Cursor, Table};
use crate::tree::{Map, Node, Value};

/// How an attribute is a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A path of the machine.
    File,
    /// A directory, or the address of a remote context, or another service.
    Context,
    /// `id=path`.
    Ssh,
    /// A mount, whose source is a path when it is a bind mount.
    Mount,
    /// A path whose symbolic links are followed.
    Watched,
    /// A volume, whose device is a path when it binds a directory.
    Volume,
}

static PATHS: LazyLock<Table<Kind>> = LazyLock::new(|| {
    Table::new(&[
        ("configs.*.file", Kind::File),
        ("secrets.*.file", Kind::File),
        ("services.*.build.additional_contexts.*", Kind::Context),
        ("services.*.build.context", Kind::Context),
        ("services.*.build.ssh.*", Kind::Ssh),
        ("services.*.develop.watch.*.path", Kind::Watched),
        ("services.*.env_file.*.path", Kind::File),
        ("services.*.label_file.*", Kind::File),
        ("services.*.volumes.*", Kind::Mount),
        ("volumes.*", Kind::Volume),
    ])
});

/// Makes every path in the tree absolute. A path that is absolute already stays as it is.
pub(super) fn resolve(tree: &mut Node, directory: &FilePath, home: Option<&FilePath>) {
    walk(tree, PATHS.root(), Base { directory, home });
}

#[derive(Clone, Copy)]
struct Base<'a> {
    directory: &'a FilePath,
    home: Option<&'a FilePath>,
}

fn walk(node: &mut Node, at: Cursor<'_, Kind>, base: Base<'_>) {
    if at.is_off() {
        return;
    }
    if let Some(kind) = at.value() {
        return base.apply(node, kind);
    }
    match &mut node.value {
        Value::Map(map) => map.iter_mut().for_each(|(key, node)| walk(node, at.key(key), base)),
        Value::List(entries) => entries.iter_mut().for_each(|node| walk(node, at.entry(), base)),
        _ => {}
    }
}

impl Base<'_> {
    fn apply(self, node: &mut Node, kind: Kind) {
        match (&mut node.value, kind) {
            (Value::Text(text), Kind::File) => *text = self.absolute(text),
            (Value::Text(text), Kind::Context) if text.is_empty() || is_remote(text) => {}
            (Value::Text(text), Kind::Context) => *text = self.absolute(text),
            (Value::Text(text), Kind::Ssh) => {
                if let Some((id, path)) = text.split_once('=') {
                    *text = format!("{id}={}", self.absolute(path));
                } else if text.starts_with(['.', '/', '~']) {
                    // The value of a mapping, when variables are not replaced.
                    *text = self.absolute(text);
                }
            }
            (Value::Text(text), Kind::Watched) => {
                let path = self.absolute(text);
                let followed = fs_err::canonicalize(&path);
                *text = followed.map_or(path, |path| path.to_string_lossy().into_owned());
            }
            (Value::Map(map), Kind::Mount) if map.text("type") == Some("bind") => {
                self.apply_to(map, "source");
            }
            (Value::Map(map), Kind::Volume) if map.text("driver") == Some("local") => {
                if let Some(options) = map.map_mut("driver_opts")
                    && options.text("o") == Some("bind")
                {
                    self.apply_to(options, "device");
                }
            }
            _ => {}
        }
    }

    fn apply_to(self, map: &mut Map, key: &str) {
        if let Some(node) = map.get_mut(key) {
            self.apply(node, Kind::File);
        }
    }

    fn absolute(self, text: &str) -> String {
        absolute(text, self.directory, self.home)
    }
}

/// A path as it is from the project's directory, or from one's home directory where it begins with `~`.
pub(crate) fn absolute(text: &str, directory: &FilePath, home: Option<&FilePath>) -> String {
    // As docker compose reads it, `~name` is a folder in one's own home directory.
    let in_home = text.strip_prefix('~');
    if let (Some(rest), Some(home)) = (in_home, home) {
        let path = home.join(rest.trim_start_matches('/'));
        return clean(&path).to_string_lossy().into_owned();
    }
    if text.starts_with('/') || is_windows(text) {
        return text.to_owned();
    }
    clean(&directory.join(text)).to_string_lossy().into_owned()
}

/// Whether a build context is not a directory of this machine.
fn is_remote(text: &str) -> bool {
    let prefixes = ["github.com/", "git@", "service:"];
    text.contains("://") || prefixes.iter().any(|prefix| text.starts_with(prefix))
}

/// Whether it is an absolute path of Windows.
fn is_windows(text: &str) -> bool {
    let bytes = text.as_bytes();
    let drive = bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1) == Some(&b':');
    (drive && matches!(bytes.get(2), Some(b'\\' | b'/'))) || text.starts_with("\\\\")
}
