//! YAML as go-yaml writes it, so that the texts of naru and docker compose can be compared line by
//! line. A text is quoted when go-yaml, whose dialect Compose files are written in, would read it
//! as something else: `012`, `1_000`, `2020-01-01`, `yes`.

use super::{Document, Mapping};
use crate::tree::{is_plain_text, shortest_float};

/// The text, with `indent` spaces per level.
pub(crate) fn to_yaml(document: &Document, indent: usize) -> String {
    let mut printer = Printer { text: String::new(), indent };
    match document {
        Document::Map(map) if !map.is_empty() => printer.mapping(map, 0, false),
        Document::List(entries) if !entries.is_empty() => printer.sequence(entries, 0, false),
        scalar => {
            printer.scalar(scalar, 0);
            printer.end_line();
        }
    }
    printer.text
}

struct Printer {
    text: String,
    indent: usize,
}

impl Printer {
    fn begin_line(&mut self, column: usize) {
        const SPACES: &str = "                ";
        let mut left = column;
        while left > 0 {
            let part = left.min(SPACES.len());
            self.text.push_str(&SPACES[..part]);
            left -= part;
        }
    }

    fn end_line(&mut self) {
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// `begun` when the first entry stands behind a dash.
    fn mapping(&mut self, map: &Mapping, column: usize, begun: bool) {
        for (index, (key, value)) in map.iter().enumerate() {
            if index > 0 || !begun {
                self.begin_line(column);
            }
            self.key(key);
            self.text.push(':');
            match value {
                Document::Map(map) if !map.is_empty() => {
                    self.text.push('\n');
                    self.mapping(map, column + self.indent, false);
                }
                Document::List(entries) if !entries.is_empty() => {
                    self.text.push('\n');
                    self.sequence(entries, column + self.indent, false);
                }
                value => {
                    self.text.push(' ');
                    self.scalar(value, column + self.indent);
                    self.end_line();
                }
            }
        }
    }

    fn sequence(&mut self, entries: &[Document], column: usize, begun: bool) {
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 || !begun {
                self.begin_line(column);
            }
            self.text.push_str("- ");
            match entry {
                Document::Map(map) if !map.is_empty() => self.mapping(map, column + 2, true),
                Document::List(list) if !list.is_empty() => self.sequence(list, column + 2, true),
                entry => {
                    self.scalar(entry, column + self.indent);
                    self.end_line();
                }
            }
        }
    }

    /// A scalar, or an empty collection.
    fn scalar(&mut self, value: &Document, column: usize) {
        match value {
            Document::Bool(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Document::Float(number) => self.text.push_str(&shortest_float(*number)),
            Document::Int(number) => self.text.push_str(&number.to_string()),
            Document::Large(number) => self.text.push_str(&number.to_string()),
            Document::Text(text) => self.string(text, column),
            Document::List(_) => self.text.push_str("[]"),
            Document::Map(_) => self.text.push_str("{}"),
            Document::Null => self.text.push_str("null"),
        }
    }

    fn key(&mut self, key: &str) {
        let traits = Traits::of(key);
        if key.contains('\n') { self.double_quoted(key) } else { self.one_line(key, &traits) }
    }

    fn string(&mut self, text: &str, column: usize) {
        let traits = Traits::of(text);
        match (text.contains('\n'), traits.block) {
            (true, true) => self.literal(text, column),
            (true, false) => self.double_quoted(text),
            (false, _) => self.one_line(text, &traits),
        }
    }

    fn literal(&mut self, text: &str, column: usize) {
        self.text.push('|');
        if text.starts_with([' ', '\n']) {
            self.text.push_str(&self.indent.to_string());
        }
        if !text.ends_with('\n') {
            self.text.push('-');
        } else if text == "\n" || text.ends_with("\n\n") {
            self.text.push('+');
        }
        self.text.push('\n');
        for line in text.split_inclusive('\n') {
            if line != "\n" {
                self.begin_line(column);
            }
            self.text.push_str(line);
        }
    }

    fn one_line(&mut self, text: &str, traits: &Traits) {
        match traits {
            _ if !is_plain_text(text) => self.double_quoted(text),
            Traits { plain: true, .. } => self.text.push_str(text),
            Traits { single: true, .. } => {
                self.text.push('\'');
                self.text.push_str(&text.replace('\'', "''"));
                self.text.push('\'');
            }
            _ => self.double_quoted(text),
        }
    }

    fn double_quoted(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                '\0' => self.text.push_str("\\0"),
                '\u{7}' => self.text.push_str("\\a"),
                '\u{8}' => self.text.push_str("\\b"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\u{b}' => self.text.push_str("\\v"),
                '\u{c}' => self.text.push_str("\\f"),
                '\r' => self.text.push_str("\\r"),
                '\u{1b}' => self.text.push_str("\\e"),
                '\u{85}' => self.text.push_str("\\N"),
                '\u{2028}' => self.text.push_str("\\L"),
                '\u{2029}' => self.text.push_str("\\P"),
                c if is_printable(c) => self.text.push(c),
                c => self.text.push_str(&by_number(c)),
            }
        }
        self.text.push('"');
    }
}

/// A sign by its number.
fn by_number(c: char) -> String {
    match u32::from(c) {
        number @ ..=0xff => format!("\\x{number:02X}"),
        number @ ..=0xffff => format!("\\u{number:04X}"),
        number => format!("\\U{number:08X}"),
    }
}

/// The styles that a text can be written in.
#[derive(Debug, PartialEq, Eq)]
struct Traits {
    /// Without quotes, in a block.
    plain: bool,
    /// In single quotes.
    single: bool,
    /// As a literal block.
    block: bool,
}

impl Traits {
    fn of(text: &str) -> Self {
        if is_harmless(text.as_bytes()) {
            return Self { plain: true, single: true, block: true };
        }
        let is_blank = |c: char| matches!(c, ' ' | '\t') || is_break(c);
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut tab, mut special, mut breaks) = (false, false, false);
        let (mut space_break, mut break_space) = (false, false);
        let (mut before, mut chars) = (None, text.chars().peekable());
        while let Some(c) = chars.next() {
            let ends = chars.peek().is_none_or(|next| is_blank(*next));
            indicators |= match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                | '%' | '@' | '`' => before.is_none() || c == '#' && before.is_some_and(is_blank),
                '?' | '-' => before.is_none() && ends,
                ':' => ends,
                _ => false,
            };
            tab |= c == '\t';
            special |= c != '\t' && !is_printable(c);
            breaks |= is_break(c);
            space_break |= is_break(c) && before == Some(' ');
            break_space |= c == ' ' && before.is_some_and(is_break);
            before = Some(c);
        }
        let starts = text.starts_with(|c| c == ' ' || is_break(c));
        let (ends_space, ends_break) = (before == Some(' '), before.is_some_and(is_break));
        let quoted = space_break || tab || special || break_space;
        Self {
            plain: !(quoted || starts || ends_space || ends_break || breaks || indicators),
            single: !quoted,
            block: !(ends_space || space_break || special),
        }
    }
}

/// Whether it is a word, a path, an address or the like: most texts are, and can stand anywhere.
fn is_harmless(text: &[u8]) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/');
    let inside = |(index, byte): (usize, &u8)| match byte {
        b'-' | b'.' => true,
        b':' => text.get(index + 1).is_some_and(word),
        byte => word(byte),
    };
    text.first().is_none_or(word) && text.iter().enumerate().all(inside)
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c,
        '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}'
            | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let document = Document::Map(vec![("k".into(), Document::Text(text.into()))]);
        assert_eq!(to_yaml(&document, 2), format!("k: {expect}\n"), "{text:?}");
        let read: serde_yaml::Value = serde_yaml::from_str(&to_yaml(&document, 2)).unwrap();
        assert_eq!(read["k"].as_str(), Some(text), "an independent reader reads the same");
    }

    #[test]
    fn texts_are_quoted_when_they_would_mean_something_else() {
        for text in ["", "~", "true", "yes", "n", "012", "1_000", "2020-01-01", "1e3", "22:22"] {
            check(text, &format!("\"{text}\""));
        }
        for text in ["a", "a b", "a:b", "a#b", "/x", "-a", "10.0.0.1", "a, b", "${A:-b}"] {
            check(text, text);
        }
    }

    #[test]
    fn texts_that_cannot_stand_alone_are_in_the_quotes_that_go_yaml_takes() {
        check("- a", "'- a'");
        check("a: b", "'a: b'");
        check("a #b", "'a #b'");
        check("*a", "'*a'");
        check("it's: x", "'it''s: x'");
        check(" a", "' a'");
        check("a ", "'a '");
        check("a\tb", "\"a\\tb\"");
        check("\u{1b}[1m", "\"\\e[1m\"");
    }

    #[test]
    fn texts_of_several_lines_are_blocks() {
        check("a\nb", "|-\n  a\n  b");
        check("a\n\nb\n", "|\n  a\n\n  b");
        check(" a\nb", "|2-\n   a\n  b");
        check("a \nb", "\"a \\nb\"");
        check("a\nb ", "\"a\\nb \"");
    }

    #[test]
    fn collections_are_indented_below_their_key() {
        let document: serde_yaml::Value =
            serde_yaml::from_str("{a: {b: [1, {c: d, e: []}, [f, g]], h: {}}, i: 1.5, j: null}")
                .unwrap();
        let document = Document::of(&document);
        let expected = "\
a:
  b:
    - 1
    - c: d
      e: []
    - - f
      - g
  h: {}
i: 1.5
j: null
";
        assert_eq!(to_yaml(&document, 2), expected);
    }
}
