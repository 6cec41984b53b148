//! The merge key `<<`: takes over what another mapping says where this one says nothing.

use indexmap::map::Entry as Slot;

use super::{How, Map, Node, Value};
use crate::report::Report;

/// Adds the entries of `sources` that `map` does not have; an earlier source wins. A source that
/// is no mapping (or list of mappings) is given back.
pub(super) fn apply(map: &mut Map, sources: Vec<Node>, report: &mut Report) -> Result<(), Node> {
    for mut source in sources {
        match std::mem::take(&mut source.value) {
            Value::Map(other) => {
                for (key, entry) in *other.0 {
                    match map.0.entry(key) {
                        Slot::Occupied(mut own) if report.remembers() => {
                            own.get_mut().node.remember(How::MergeKey, entry.node);
                        }
                        Slot::Occupied(_) => {}
                        Slot::Vacant(slot) => {
                            slot.insert(entry);
                        }
                    }
                }
            }
            Value::List(entries) => {
                if let Some(wrong) = entries.iter().find(|entry| entry.as_map().is_none()) {
                    return Err(wrong.clone());
                }
                apply(map, entries, report)?;
            }
            Value::Null => {}
            value => return Err(Node { value, ..source }),
        }
    }
    Ok(())
}
