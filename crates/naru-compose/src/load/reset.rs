//! `!reset` and `!override`: taking back what earlier files say.

use crate::path::Path;
use crate::source::Position;
use crate::tree::{Mark, Node, Value};

/// A place where a file takes something back.
#[derive(Debug, Clone)]
pub(super) struct TakeBack {
    /// The way to the value.
    path: Vec<String>,
    /// Where the tag is.
    at: Position,
    /// Which tag it is.
    mark: Mark,
}

/// The values that a file takes back.
pub(super) type Paths = Vec<TakeBack>;

/// What was taken back.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// The way to it.
    pub(crate) path: Vec<String>,
    /// Where the tag is.
    pub(crate) at: Position,
    /// Which tag it is.
    pub(crate) mark: Mark,
    /// The value that there was.
    pub(crate) node: Node,
}

/// Finds the marks in a file. What is marked with `!reset` is removed from it.
pub(super) fn collect(document: &mut Node) -> Paths {
    let mut paths = Paths::new();
    walk(document, &Path::ROOT, &mut paths);
    paths
}

fn walk(node: &mut Node, path: &Path, paths: &mut Paths) {
    match &mut node.value {
        Value::Map(map) => {
            map.0.retain(|key, entry| keep(&mut entry.node, &path.key(key), paths));
        }
        Value::List(entries) => {
            // What is marked inside a list is taken out of this list, and of no other.
            entries.retain_mut(|entry| keep(entry, &path.index(0), &mut Paths::new()));
        }
        _ => {}
    }
}

fn keep(node: &mut Node, path: &Path, paths: &mut Paths) -> bool {
    let mark = std::mem::take(&mut node.mark);
    if mark == Mark::Plain {
        walk(node, path, paths);
    } else {
        paths.push(TakeBack { path: path.keys(), at: node.at, mark });
    }
    mark != Mark::Reset
}

/// Removes what is at these places, and gives it.
pub(super) fn apply(tree: &mut Node, paths: &Paths) -> Vec<Taken> {
    let found = paths.iter().filter_map(|back| Some((back, remove(tree, &back.path)?)));
    found.map(|(back, node)| back.taken(node)).collect()
}

/// Removes what is at these places below one service, whatever the service is called there.
pub(super) fn apply_to_service(service: &mut Node, name: &str, paths: &Paths) -> Vec<Taken> {
    let mut taken = Vec::new();
    for back in paths {
        if let [services, service_name, rest @ ..] = back.path.as_slice()
            && services == "services"
            && service_name == name
        {
            taken.extend(remove(service, rest).map(|node| back.taken(node)));
        }
    }
    taken
}

impl TakeBack {
    fn taken(&self, node: Node) -> Taken {
        Taken { path: self.path.clone(), at: self.at, mark: self.mark, node }
    }
}

fn remove(node: &mut Node, path: &[String]) -> Option<Node> {
    let (segment, rest) = path.split_first()?;
    match &mut node.value {
        Value::Map(map) if rest.is_empty() => map.remove(segment),
        Value::Map(map) => map.get_mut(segment).and_then(|child| remove(child, rest)),
        _ => None,
    }
}
