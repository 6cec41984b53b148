//! What loading one project may cost. Anchors, variables, `extends` and `include` let a short text
//! stand for a long one; everything they copy is paid for here, so that no file can make the
//! loader use memory without end.

use crate::path::Path;
use crate::problem::Code;
use crate::report::Report;
use crate::source::Position;
use crate::tree::{Node, Value};

/// What may still be used, for all files of a project together.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Number of ports that ranges may still stand for.
    pub(crate) ports: usize,
    /// Bytes that texts and values may still take, by the estimates below.
    weight: usize,
    /// Bytes that trees may still have when a document is put onto them, all together.
    merging: usize,
    /// Whether it was said that they are not enough.
    told: bool,
}

/// The bytes that a project may take by these estimates. They are measured so that a whole command
/// stays below 64 MiB: a value is kept in the tree and in the typed project, and copied on the way.
const WEIGHT_LIMIT: usize = 16 << 20;

/// The bytes that all trees together may have by these estimates when documents are put onto them: each document has
/// the whole tree checked once more. They are measured so that it takes about a second.
const MERGING_LIMIT: usize = 16 << 30;

/// What a value costs beside its text, in bytes.
pub(crate) const VALUE: usize = 256;

/// What a service costs beside its values, in bytes.
pub(crate) const SERVICE: usize = 4096;

/// What a variable of an environment costs beside its name and value, in bytes.
pub(crate) const VARIABLE: usize = 256;

/// The sentence about a project that is too large.
pub(crate) fn message() -> String {
    format!("the project is too large: its values need more than {} MiB", WEIGHT_LIMIT >> 20)
}

/// What the reader can do about that.
pub(crate) const HINT: &str = "every use of an anchor, of a variable, of `extends` and of \
     `include` counts as if it was written out";

impl Default for Budget {
    fn default() -> Self {
        Self { ports: 16_384, weight: WEIGHT_LIMIT, merging: MERGING_LIMIT, told: false }
    }
}

impl Budget {
    /// Takes so many bytes. False when there are not so many left; none are taken then.
    #[must_use]
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        let left = self.weight.checked_sub(bytes);
        self.weight = left.unwrap_or(self.weight);
        left.is_some()
    }

    /// Takes so many bytes for a copy that is made because of what stands at `at`. False when
    /// there are not so many left, which is reported once.
    #[must_use]
    pub(crate) fn pay(
        &mut self,
        bytes: usize,
        at: Position,
        path: &Path,
        report: &mut Report,
    ) -> bool {
        let paid = self.spend(bytes);
        if !paid && !std::mem::replace(&mut self.told, true) {
            report.error(at, path, message()).code(Code::LIMIT).hint(HINT);
        }
        paid
    }

    /// Takes what it costs to put one more document onto this tree. False when that is too much, which is
    /// reported at `at`.
    #[must_use]
    pub(crate) fn pay_for_merging(
        &mut self,
        tree: &Node,
        at: Position,
        report: &mut Report,
    ) -> bool {
        let left = self.merging.checked_sub(weight(tree));
        self.merging = left.unwrap_or(0);
        if left.is_none() {
            let message = "there are too many documents for a project of this size";
            let hint = "join them: each is checked together with all before it";
            report.error(at, &Path::ROOT, message).code(Code::LIMIT).hint(hint);
        }
        left.is_some()
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.weight
    }
}

/// What a scalar of this text costs, in bytes.
pub(crate) fn scalar(text: &str) -> usize {
    VALUE + 2 * text.len()
}

/// What a copy of this value costs, in bytes.
pub(crate) fn weight(node: &Node) -> usize {
    match &node.value {
        Value::Text(text) | Value::Date(text) => scalar(text),
        Value::List(entries) => VALUE + entries.iter().map(weight).sum::<usize>(),
        Value::Map(map) => {
            VALUE + map.iter().map(|(key, node)| scalar(key) + weight(node)).sum::<usize>()
        }
        _ => VALUE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_left_is_not_spent() {
        let mut budget = Budget::default();
        assert!(budget.spend(WEIGHT_LIMIT - 10));
        assert!(!budget.spend(11));
        assert!(budget.spend(10));
        assert_eq!(budget.left(), 0);
    }

    #[test]
    fn a_value_is_small_enough_for_the_estimate() {
        assert!(size_of::<Node>() <= VALUE);
    }
}
