//! Finding the place in a file of an attribute of the finished project.

use crate::source::Position;
use crate::tree::{Node, Value};

/// A tree to look places up in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'t>(pub(crate) &'t Node);

impl Place<'_> {
    /// Where the attribute at the end of the way is: its key for an attribute, its value for an
    /// entry of a list. When it is in no file, the nearest one above it.
    pub(crate) fn of(self, way: &[&str]) -> Position {
        let (mut node, mut at) = (self.0, self.0.at);
        for segment in way {
            let next = match &node.value {
                Value::Map(map) => map.0.get(*segment).map(|entry| (entry.key_at, &entry.node)),
                Value::List(entries) => {
                    let index = segment.parse::<usize>().ok();
                    index.and_then(|index| entries.get(index)).map(|node| (node.at, node))
                }
                _ => None,
            };
            let Some((key_at, next)) = next else { break };
            node = next;
            if key_at.line > 0 {
                at = key_at;
            }
        }
        at
    }
}
