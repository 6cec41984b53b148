//! Commands written as one line.

use crate::path::Path;
use crate::problem::Code;
use crate::report::Report;
use crate::tree::{Node, Value};

/// A line, split as docker compose splits it.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    /// Program and arguments.
    words: Vec<String>,
    /// What is dropped because it stands after an operator of the shell.
    dropped: Option<String>,
}

/// Splits a line into words: quotes and backslash work as in a shell, variables and commands in
/// backticks stay as they are, and everything from `;`, `&`, `|`, `<` or `>` on is dropped.
/// `None` when a quote or bracket is not closed.
fn split_words(line: &str) -> Option<Words> {
    let mut split = Splitter::default();
    for (index, c) in line.char_indices() {
        if split.is_operator(c) {
            if c == '>' && split.word.starts_with(|c: char| c.is_ascii_digit()) {
                split.pending = false;
            }
            return split.finish(Some(line[index..].to_owned()));
        }
        split.take(c)?;
    }
    split.finish(None)
}

#[derive(Default)]
struct Splitter {
    words: Vec<String>,
    word: String,
    pending: bool,
    escaped: bool,
    single: bool,
    double: bool,
    backtick: bool,
    substitution: bool,
}

impl Splitter {
    fn is_quoted(&self) -> bool {
        self.single || self.double || self.backtick || self.substitution
    }

    fn is_operator(&self, c: char) -> bool {
        matches!(c, ';' | '&' | '|' | '<' | '>') && !self.escaped && !self.is_quoted()
    }

    fn take(&mut self, c: char) -> Option<()> {
        if self.escaped {
            self.escaped = false;
            self.push(c);
            return Some(());
        }
        match c {
            '\\' if self.single => self.word.push(c),
            '\\' => self.escaped = true,
            ' ' | '\t' | '\r' | '\n' if self.is_quoted() => self.word.push(c),
            ' ' | '\t' | '\r' | '\n' => self.end_word(),
            '"' if !self.single && !self.substitution => {
                self.pending |= self.double;
                self.double = !self.double;
            }
            '\'' if !self.double && !self.substitution => {
                self.pending |= self.single;
                self.single = !self.single;
            }
            '(' if !self.single && !self.double && !self.backtick => {
                if self.substitution || !self.word.ends_with('$') {
                    return None;
                }
                self.substitution = true;
                self.word.push(c);
            }
            _ => {
                if c == '`' && !self.single && !self.double && !self.substitution {
                    self.backtick = !self.backtick;
                }
                if c == ')' && !self.single && !self.double && !self.backtick {
                    self.substitution = !self.substitution;
                }
                self.push(c);
            }
        }
        Some(())
    }

    fn push(&mut self, c: char) {
        self.pending = true;
        self.word.push(c);
    }

    fn end_word(&mut self) {
        if self.pending {
            self.words.push(std::mem::take(&mut self.word));
            self.pending = false;
        }
    }

    fn finish(mut self, dropped: Option<String>) -> Option<Words> {
        if self.escaped || self.is_quoted() {
            return None;
        }
        self.end_word();
        Some(Words { words: self.words, dropped })
    }
}

/// The words of a line; `None` when a quote or bracket is not closed.
pub(crate) fn words_of(line: &str) -> Option<Vec<String>> {
    split_words(line).map(|words| words.words)
}

/// Turns a line into a list of words.
pub(super) fn command(node: &mut Node, path: &Path, report: &mut Report) {
    let Value::Text(line) = &node.value else { return };
    let Some(Words { words, dropped }) = split_words(line) else {
        let message = format!("`{line}` is not a command line: a quote or bracket is not closed");
        report
            .error(node.at, path, message)
            .hint("write it as a list: [\"program\", \"argument\", …]");
        node.value = Value::Broken;
        return;
    };
    if let Some(dropped) = dropped {
        let message = format!("`{dropped}` is dropped: no shell runs this command");
        let hint = "to use the shell's operators write [\"sh\", \"-c\", \"…\"]";
        report.warning(node.at, path, message).code(Code::SHELL_OPERATOR).hint(hint);
    }
    node.value = Value::List(words.into_iter().map(|word| Node::text(node.at, word)).collect());
}

/// Turns a line into a test that a shell runs.
pub(super) fn test(node: &mut Node) {
    if let Value::Text(line) = &node.value {
        let words = ["CMD-SHELL".to_owned(), line.clone()];
        node.value = Value::List(words.into_iter().map(|word| Node::text(node.at, word)).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: &[&str]) {
        assert_eq!(split_words(line).unwrap().words, expect, "{line}");
    }

    #[test]
    fn quotes_and_backslashes_work_as_in_a_shell() {
        check("a 'b c' \"d\\\"e\" f\\ g", &["a", "b c", "d\"e", "f g"]);
        check("a \"\" b", &["a", "", "b"]);
        check("a'b'c", &["abc"]);
        check("a\tb\nc  ", &["a", "b", "c"]);
        check("'b\\'", &["b\\"]);
        check("  ", &[]);
    }

    #[test]
    fn substitutions_stay_as_they_are() {
        check("a `b c` $(d e)", &["a", "`b c`", "$(d e)"]);
    }

    #[test]
    fn everything_from_an_operator_on_is_dropped() {
        check("echo a && b", &["echo", "a"]);
        check("a 2>f", &["a"]);
        check("a2>f", &["a2"]);
        check("sh -c \"a && b\"", &["sh", "-c", "a && b"]);
        assert_eq!(split_words("a | b").unwrap().dropped.as_deref(), Some("| b"));
    }

    #[test]
    fn an_open_quote_or_bracket_is_no_command() {
        for line in ["a \"b", "a\\", "a (b)", "a )", "a `b", "a $(b"] {
            assert_eq!(split_words(line), None, "{line}");
        }
    }
}
