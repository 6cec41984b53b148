//! Values that lost against the final one.

use super::Origin;
use super::way::Step;
use crate::load::Loaded;
use crate::source::Position;
use crate::tree::{How, Mark, Node, Value};

impl Loaded {
    /// The values that lost at a place of the tree, the last one first. `nodes` are those on the way,
    /// the root first; `way` may be longer than they are.
    pub(super) fn losers(&self, nodes: &[&Node], way: &[Step]) -> Vec<Origin> {
        let mut lost = Vec::new();
        for (depth, node) in nodes.iter().enumerate().rev() {
            self.lost_to(node, &way[depth..], &mut lost);
        }
        lost.extend(self.taken_at(way));
        let mut seen = Vec::new();
        lost.retain(|origin| {
            !seen.contains(origin) && {
                seen.push(origin.clone());
                true
            }
        });
        lost
    }

    /// What lost against a node and, further back, against what lost.
    fn lost_to(&self, node: &Node, rest: &[Step], lost: &mut Vec<Origin>) {
        for step in node.steps().filter(|step| step.how.is_loss()) {
            if let Some(before) = descend(&step.node, rest) {
                lost.push(self.loser(before, self.reason(step.how, node.at, &step.node)));
            }
            self.lost_to(&step.node, rest, lost);
        }
    }

    /// A value that lost, with what its variables were.
    pub(super) fn loser(&self, node: &Node, reason: String) -> Origin {
        let mut origin = self.placed(reason, node.at);
        origin.value = Some(text(node));
        origin
    }

    /// Why a value lost against the one at `winner`.
    fn reason(&self, how: How, winner: Position, before: &Node) -> String {
        let extended = before.steps().any(|step| step.how == How::Extends);
        match how {
            How::SameEntry => "replaced by a later entry that means the same".to_owned(),
            How::MergeKey => "from `<<`: what the mapping says itself wins".to_owned(),
            _ if extended => "extended: the service's own value wins".to_owned(),
            _ if winner.file == before.at.file => "merged: what comes later wins".to_owned(),
            _ if self.sources.reader(before.at.file).is_some_and(|at| at.file == winner.file) => {
                "included: the including file wins".to_owned()
            }
            _ => "merged: the later file wins".to_owned(),
        }
    }

    /// What `!reset` and `!override` removed there or above, the last one first.
    pub(super) fn taken_at(&self, way: &[Step]) -> Vec<Origin> {
        let mut lost = Vec::new();
        for taken in self.past.taken.iter().rev() {
            let Some(rest) = below(way, &taken.path) else { continue };
            let Some(before) = descend(&taken.node, rest) else { continue };
            let tag = if taken.mark == Mark::Reset { "!reset" } else { "!override" };
            let place = self.sources.location(taken.at).map_or(String::new(), |location| {
                format!(" at {}:{}:{}", location.file.display(), location.line, location.column)
            });
            lost.push(self.loser(before, format!("removed by `{tag}`{place}")));
            self.lost_to(&taken.node, rest, &mut lost);
        }
        lost
    }

    /// Where the tag is that removed what was at a place.
    pub(super) fn reset_at(&self, way: &[Step]) -> Option<Position> {
        let taken = self.past.taken.iter().rev();
        let mut taken = taken.filter(|taken| {
            below(way, &taken.path).is_some_and(|rest| descend(&taken.node, rest).is_some())
        });
        taken.next().map(|taken| taken.at)
    }
}

/// The steps that are left below a path; `None` when the way is not below it.
fn below<'w>(way: &'w [Step], path: &[String]) -> Option<&'w [Step]> {
    let fits = way.len() >= path.len()
        && way
            .iter()
            .zip(path)
            .all(|(step, segment)| matches!(step, Step::Key(key) if key == segment));
    fits.then(|| &way[path.len()..])
}

/// The node at the end of a way. In another file a list has other numbers, so that it stands for all
/// of its entries.
fn descend<'n>(node: &'n Node, rest: &[Step]) -> Option<&'n Node> {
    let Some((step, rest)) = rest.split_first() else { return Some(node) };
    match (step, &node.value) {
        (Step::Key(key), Value::Map(map)) => descend(map.get(key)?, rest),
        (_, Value::Map(_)) => None,
        // A short form, or a list.
        _ => Some(node),
    }
}

/// A value in one line.
pub(super) fn text(node: &Node) -> String {
    match &node.value {
        Value::Null | Value::Broken => "null".to_owned(),
        Value::List(entries) => {
            let entries: Vec<String> = entries.iter().map(text).collect();
            format!("[{}]", entries.join(", "))
        }
        Value::Map(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, node)| format!("{key}: {}", text(node))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Date(text) => text.clone(),
        _ => node.scalar_text().unwrap_or_default(),
    }
}
