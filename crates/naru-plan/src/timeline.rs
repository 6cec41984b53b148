//! How long each step of a command took, and the chain of steps that determined how long it took in all.

use serde::{Deserialize, Serialize};

/// One command, as it went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Form of this record.
    pub version: u32,
    /// Nanoseconds since 1970-01-01 UTC at its beginning.
    pub began_ns: u64,
    /// How long it took, in microseconds, as all times here: from its beginning.
    pub took_us: u64,
    /// It failed.
    pub failed: bool,
    /// What took time, in the order of the plan.
    pub spans: Vec<Span>,
}

/// Something that took time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its number, which others refer to.
    pub id: u32,
    /// What it was.
    pub what: What,
    /// The service, where it is one's.
    pub service: Option<String>,
    /// The network, volume or container.
    pub name: String,
    /// When it began.
    pub begin_us: u64,
    /// When it ended.
    pub end_us: u64,
    /// It failed.
    pub failed: bool,
    /// The spans that had to end before it began.
    pub after: Vec<u32>,
    /// What it was made of, where that is known.
    #[serde(default)]
    pub parts: Vec<Part>,
}

/// A part of a span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// `image`, `files`, `network`, `process`.
    pub name: String,
    /// When it began.
    pub begin_us: u64,
    /// When it ended.
    pub end_us: u64,
}

/// Kinds of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A network or volume was made.
    Make,
    /// A container was made.
    Create,
    /// A container was started.
    Start,
    /// A container became healthy, or did what it had to: from its start on.
    Ready,
    /// A container was stopped.
    Stop,
    /// Something was removed or renamed.
    Remove,
}

impl What {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Make | Self::Create => "create",
            Self::Start => "start",
            Self::Ready => "ready",
            Self::Stop => "stop",
            Self::Remove => "remove",
        }
    }
}

impl Span {
    /// How long it took.
    pub fn took_us(&self) -> u64 {
        self.end_us.saturating_sub(self.begin_us)
    }
}

impl Timeline {
    /// The chain that determined how long it took, from the first span to the last: each is what the next one waited for
    /// longest. The last is the one that ended last.
    pub fn critical_path(&self) -> Vec<&Span> {
        let mut path = Vec::new();
        let mut next = self.spans.iter().max_by_key(|span| span.end_us);
        while let Some(span) = next {
            path.push(span);
            let before = self.spans.iter().filter(|other| span.after.contains(&other.id));
            // A damaged record might go in circles.
            let before = before.filter(|other| !path.iter().any(|seen| seen.id == other.id));
            next = before.max_by_key(|other| other.end_us);
        }
        path.reverse();
        path
    }

    /// What a span waited for longest.
    pub fn waited_for(&self, span: &Span) -> Option<&Span> {
        let before = self.spans.iter().filter(|other| span.after.contains(&other.id));
        before.max_by_key(|other| other.end_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u32, name: &str, times: (u64, u64), after: &[u32]) -> Span {
        Span {
            id,
            what: What::Start,
            service: None,
            name: name.to_owned(),
            begin_us: times.0,
            end_us: times.1,
            failed: false,
            after: after.to_vec(),
            parts: Vec::new(),
        }
    }

    #[test]
    fn the_critical_path_follows_what_each_span_waited_for_longest() {
        let spans = vec![
            span(1, "network", (0, 5), &[]),
            span(2, "db", (5, 20), &[1]),
            span(3, "cache", (5, 12), &[1]),
            span(4, "db is ready", (20, 90), &[2]),
            span(5, "web", (90, 99), &[4, 3]),
            span(6, "other", (5, 95), &[1]),
        ];
        let timeline = Timeline { spans, ..Timeline::default() };
        let names: Vec<_> = timeline.critical_path().iter().map(|span| &*span.name).collect();
        assert_eq!(names, ["network", "db", "db is ready", "web"]);
        assert_eq!(Timeline::default().critical_path(), Vec::<&Span>::new());
    }

    #[test]
    fn a_damaged_record_that_goes_in_circles_has_an_end() {
        let spans = vec![span(1, "a", (0, 5), &[2]), span(2, "b", (5, 9), &[1])];
        let timeline = Timeline { spans, ..Timeline::default() };
        assert_eq!(timeline.critical_path().len(), 2);
    }
}
