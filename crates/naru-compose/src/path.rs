//! Where a node is in its tree, and tables that say something about the nodes of such places.

use std::fmt;

/// The way from the root of a tree to one of its nodes, as a chain on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Self>,
    segment: Segment<'a>,
}

/// One step down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// To the value of a key.
    Key(&'a str),
    /// To an entry of a list.
    Index(usize),
}

impl<'a> Path<'a> {
    /// The root itself.
    pub(crate) const ROOT: Self = Self { parent: None, segment: Segment::Key("") };

    /// The value of a key.
    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), segment: Segment::Key(key) }
    }

    /// An entry of a list.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), segment: Segment::Index(index) }
    }

    /// The nearest key on the way up.
    pub(crate) fn name(&self) -> Option<&'a str> {
        match (self.segment, self.parent) {
            (Segment::Key(key), Some(_)) => Some(key),
            (_, Some(parent)) => parent.name(),
            (_, None) => None,
        }
    }

    /// The keys from the root down to here; that of an entry of a list is empty.
    pub(crate) fn keys(&self) -> Vec<String> {
        let Some(parent) = self.parent else { return Vec::new() };
        let mut keys = parent.keys();
        keys.push(match self.segment {
            Segment::Key(key) => key.to_owned(),
            Segment::Index(_) => String::new(),
        });
        keys
    }

    /// Whether this is an entry of a list.
    pub(crate) fn is_entry(&self) -> bool {
        matches!(self.segment, Segment::Index(_))
    }

    /// Whether this is the root.
    pub(crate) fn is_root(&self) -> bool {
        self.parent.is_none()
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        match self.segment {
            Segment::Index(index) => write!(f, "[{index}]"),
            Segment::Key(key) if parent.is_root() => f.write_str(key),
            Segment::Key(key) => write!(f, ".{key}"),
        }
    }
}

/// A table from path patterns such as `services.*.ports` to what holds there; `*` stands for any
/// key and any index.
#[derive(Debug)]
pub(crate) struct Table<T> {
    nodes: Vec<TableNode<T>>,
}

#[derive(Debug)]
struct TableNode<T> {
    children: Vec<(&'static str, usize)>,
    value: Option<T>,
}

/// A place in a [`Table`], moved along with a walk through a tree.
#[derive(Debug)]
pub(crate) struct Cursor<'t, T> {
    table: &'t Table<T>,
    node: Option<usize>,
}

impl<T> Clone for Cursor<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Cursor<'_, T> {}

impl<T: Copy> Table<T> {
    /// A table of these rows.
    pub(crate) fn new(rows: &[(&'static str, T)]) -> Self {
        let mut table = Self { nodes: vec![TableNode { children: Vec::new(), value: None }] };
        for (pattern, value) in rows {
            let node = pattern.split('.').fold(0, |node, segment| table.child(node, segment));
            table.nodes[node].value = Some(*value);
        }
        table
    }

    fn child(&mut self, node: usize, segment: &'static str) -> usize {
        let known = self.nodes[node].children.iter().find(|(name, _)| *name == segment);
        if let Some((_, child)) = known {
            return *child;
        }
        let child = self.nodes.len();
        self.nodes.push(TableNode { children: Vec::new(), value: None });
        self.nodes[node].children.push((segment, child));
        child
    }

    /// The place of the tree's root.
    pub(crate) fn root(&self) -> Cursor<'_, T> {
        Cursor { table: self, node: Some(0) }
    }

    /// The place of one service.
    pub(crate) fn service(&self) -> Cursor<'_, T> {
        self.root().key("services").key("*")
    }
}

impl<T: Copy> Cursor<'_, T> {
    /// Down to the value of a key.
    #[must_use]
    pub(crate) fn key(self, key: &str) -> Self {
        let node = self.node.and_then(|node| {
            let children = &self.table.nodes[node].children;
            let same = |a: &str, b: &str| a.as_bytes().first() == b.as_bytes().first() && a == b;
            let named = |name: &str| children.iter().find(|(child, _)| same(child, name));
            named(key).or_else(|| named("*")).map(|(_, child)| *child)
        });
        Self { node, ..self }
    }

    /// Down to an entry of a list.
    #[must_use]
    pub(crate) fn entry(self) -> Self {
        self.key("*")
    }

    /// What holds here.
    pub(crate) fn value(self) -> Option<T> {
        self.table.nodes[self.node?].value
    }

    /// Whether the table has no row here or below.
    pub(crate) fn is_off(self) -> bool {
        self.node.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prints_keys_with_dots_and_entries_in_brackets() {
        let (services, root) = ("services", Path::ROOT);
        let services = root.key(services);
        let web = services.key("web");
        let ports = web.key("ports");
        assert_eq!(ports.index(2).to_string(), "services.web.ports[2]");
    }

    #[test]
    fn a_table_prefers_the_named_key_to_the_star() {
        let table = Table::new(&[("a.*.c", 1), ("a.b.c", 2), ("a.*", 3)]);
        let a = table.root().key("a");
        assert_eq!(a.key("b").key("c").value(), Some(2));
        assert_eq!(a.key("x").key("c").value(), Some(1));
        assert_eq!(a.entry().value(), Some(3));
        assert!(table.root().key("z").is_off());
    }
}
