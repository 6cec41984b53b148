//! The merge key `<<`: takes over what another mapping says where this one says nothing.

use super::{Map, Node, Value};

/// Adds the entries of `sources` that `map` does not have; an earlier source wins. A source that
/// is no mapping (or list of mappings) is given back.
pub(super) fn apply(map: &mut Map, sources: Vec<Node>) -> Result<(), Node> {
    for source in sources {
        match source.value {
            Value::Map(other) => {
                for (key, entry) in other.0 {
                    map.0.entry(key).or_insert(entry);
                }
            }
            Value::List(entries) => {
                if let Some(wrong) = entries.iter().find(|entry| entry.as_map().is_none()) {
                    return Err(wrong.clone());
                }
                apply(map, entries)?;
            }
            Value::Null => {}
            _ => return Err(source),
        }
    }
    Ok(())
}
