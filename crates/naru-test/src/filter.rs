//! Makes output comparable: what differs from run to run becomes a word in brackets.

/// Replacements applied in order to a text before it is compared with a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    replacements: Vec<(String, String)>,
}

impl Filter {
    /// Replaces durations by `[TIME]`, container ids by `[ID]` and process ids after "pid " by `[PID]`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also replaces every occurrence of `text` by `[name]`.
    #[must_use]
    pub fn replace(mut self, text: impl Into<String>, name: &str) -> Self {
        self.replacements.push((text.into(), format!("[{name}]")));
        self
    }

    /// The text with everything replaced.
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.replacements {
            text = text.replace(from, to);
        }
        let lines: Vec<String> = text.lines().map(words).collect();
        lines.join("\n")
    }
}

/// One line with its words looked at one by one; the spaces between them stay.
fn words(line: &str) -> String {
    let mut previous = "";
    let mut shown = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_matches(|c: char| "(),.:;".contains(c));
        let name = match bare {
            "" => None,
            bare if is_duration(bare) => Some("[TIME]"),
            bare if is_id(bare) => Some("[ID]"),
            bare if previous == "pid" && bare.parse::<u32>().is_ok() => Some("[PID]"),
            _ => None,
        };
        shown.push(name.map_or_else(|| word.to_owned(), |name| word.replace(bare, name)));
        previous = bare;
    }
    shown.join(" ")
}

fn is_duration(word: &str) -> bool {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == 'µ');
    let unit = &word[digits.len()..];
    ["ms", "s", "µs", "m", "h"].contains(&unit)
        && !digits.is_empty()
        && digits.bytes().all(|c| c.is_ascii_digit() || c == b'.')
}

fn is_id(word: &str) -> bool {
    matches!(word.len(), 12 | 64) && word.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_replaced() {
        let filter = Filter::new().replace("/tmp/x1", "DIR");
        let text = "port 80 is used by pid 4711 (nginx), see /tmp/x1/compose.yaml\n  web  Started 0.3s 0123456789ab";
        let expect = "port 80 is used by pid [PID] (nginx), see [DIR]/compose.yaml\n  web  Started [TIME] [ID]";
        assert_eq!(filter.apply(text), expect);
    }
}
