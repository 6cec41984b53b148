//! YAML as go-yaml writes it, so that the texts of naru and docker compose can be compared line by
//! line. A text is quoted when go-yaml, whose dialect Compose files are written in, would read it
//! as something else: `012`, `1_000`, `2020-01-01`, `yes`.

use super::Document;
use crate::tree::{is_plain_text, shortest_float};

/// The text, with `indent` spaces per level.
pub(crate) fn to_yaml(document: &Document, indent: usize) -> String {
    let mut printer = Printer { text: String::new(), indent };
    match document {
        Document::Mapping(map) if !map.is_empty() => printer.mapping(map, 0, false),
        Document::Sequence(entries) if !entries.is_empty() => printer.sequence(entries, 0, false),
        scalar => {
            let text = printer.scalar(scalar, 0);
            printer.text.push_str(&text);
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
    fn end_line(&mut self) {
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// `begun` when the first entry stands behind a dash.
    fn mapping(&mut self, map: &serde_yaml::Mapping, column: usize, begun: bool) {
        for (index, (key, value)) in map.iter().enumerate() {
            if index > 0 || !begun {
                self.text.push_str(&" ".repeat(column));
            }
            let key = key_text(key.as_str().unwrap_or(""));
            self.text.push_str(&key);
            self.text.push(':');
            match value {
                Document::Mapping(map) if !map.is_empty() => {
                    self.text.push('\n');
                    self.mapping(map, column + self.indent, false);
                }
                Document::Sequence(entries) if !entries.is_empty() => {
                    self.text.push('\n');
                    self.sequence(entries, column + self.indent, false);
                }
                value => {
                    let text = self.scalar(value, column + self.indent);
                    self.text.push(' ');
                    self.text.push_str(&text);
                    self.end_line();
                }
            }
        }
    }

    fn sequence(&mut self, entries: &[Document], column: usize, begun: bool) {
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 || !begun {
                self.text.push_str(&" ".repeat(column));
            }
            self.text.push_str("- ");
            match entry {
                Document::Mapping(map) if !map.is_empty() => self.mapping(map, column + 2, true),
                Document::Sequence(list) if !list.is_empty() => {
                    self.sequence(list, column + 2, true);
                }
                entry => {
                    let text = self.scalar(entry, column + self.indent);
                    self.text.push_str(&text);
                    self.end_line();
                }
            }
        }
    }

    /// A scalar, or an empty collection.
    fn scalar(&self, value: &Document, column: usize) -> String {
        match value {
            Document::Bool(value) => value.to_string(),
            Document::Number(number) if number.is_f64() => {
                shortest_float(number.as_f64().unwrap_or_default())
            }
            Document::Number(number) => number.to_string(),
            Document::String(text) => self.string(text, column),
            Document::Sequence(_) => "[]".to_owned(),
            Document::Mapping(_) => "{}".to_owned(),
            Document::Null | Document::Tagged(_) => "null".to_owned(),
        }
    }

    fn string(&self, text: &str, column: usize) -> String {
        let traits = Traits::of(text);
        if text.contains('\n') {
            return if traits.block { self.literal(text, column) } else { double_quoted(text) };
        }
        one_line(text, &traits)
    }

    fn literal(&self, text: &str, column: usize) -> String {
        let mut result = "|".to_owned();
        if text.starts_with([' ', '\n']) {
            result.push_str(&self.indent.to_string());
        }
        if !text.ends_with('\n') {
            result.push('-');
        } else if text == "\n" || text.ends_with("\n\n") {
            result.push('+');
        }
        result.push('\n');
        for line in text.split_inclusive('\n') {
            if line != "\n" {
                result.push_str(&" ".repeat(column));
            }
            result.push_str(line);
        }
        result
    }
}

fn key_text(key: &str) -> String {
    if key.contains('\n') { double_quoted(key) } else { one_line(key, &Traits::of(key)) }
}

fn one_line(text: &str, traits: &Traits) -> String {
    if !is_plain_text(text) {
        return double_quoted(text);
    }
    if traits.plain {
        return text.to_owned();
    }
    if traits.single { format!("'{}'", text.replace('\'', "''")) } else { double_quoted(text) }
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
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/');
        let harmless = |byte: u8| word(byte) || matches!(byte, b'-' | b'.');
        if text.bytes().next().is_none_or(word) && text.bytes().all(harmless) {
            return Self { plain: true, single: true, block: true };
        }
        let chars: Vec<char> = text.chars().collect();
        let blank =
            |index: usize| chars.get(index).is_none_or(|c| matches!(c, ' ' | '\t') || is_break(*c));
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut tab, mut special, mut breaks) = (false, false, false);
        let (mut space_break, mut break_space) = (false, false);
        for (index, &c) in chars.iter().enumerate() {
            indicators |= match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                | '%' | '@' | '`'
                    if index == 0 =>
                {
                    true
                }
                '?' | ':' | '-' if index == 0 => blank(1),
                ':' => blank(index + 1),
                '#' => blank(index - 1),
                _ => false,
            };
            tab |= c == '\t';
            special |= c != '\t' && !is_printable(c);
            breaks |= is_break(c);
            let before = index.checked_sub(1).map(|before| chars[before]);
            space_break |= is_break(c) && before == Some(' ');
            break_space |= c == ' ' && before.is_some_and(is_break);
        }
        let starts = chars.first().is_some_and(|c| *c == ' ' || is_break(*c));
        let (ends_space, ends_break) =
            (chars.last() == Some(&' '), chars.last().is_some_and(|c| is_break(*c)));
        let quoted = space_break || tab || special || break_space;
        Self {
            plain: !(quoted || starts || ends_space || ends_break || breaks || indicators),
            single: !quoted,
            block: !(ends_space || space_break || special),
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c,
        '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}'
            | '\u{10000}'..)
}

fn double_quoted(text: &str) -> String {
    let mut result = String::with_capacity(text.len() + 2);
    result.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => result.extend(['\\', c]),
            '\0' => result.push_str("\\0"),
            '\u{7}' => result.push_str("\\a"),
            '\u{8}' => result.push_str("\\b"),
            '\t' => result.push_str("\\t"),
            '\n' => result.push_str("\\n"),
            '\u{b}' => result.push_str("\\v"),
            '\u{c}' => result.push_str("\\f"),
            '\r' => result.push_str("\\r"),
            '\u{1b}' => result.push_str("\\e"),
            '\u{85}' => result.push_str("\\N"),
            '\u{2028}' => result.push_str("\\L"),
            '\u{2029}' => result.push_str("\\P"),
            c if is_printable(c) => result.push(c),
            c if u32::from(c) <= 0xff => result.push_str(&format!("\\x{:02X}", u32::from(c))),
            c if u32::from(c) <= 0xffff => result.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => result.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    result.push('"');
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let document = Document::Mapping([("k".into(), text.into())].into_iter().collect());
        assert_eq!(to_yaml(&document, 2), format!("k: {expect}\n"), "{text:?}");
        let read: Document = serde_yaml::from_str(&to_yaml(&document, 2)).unwrap();
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
        let document: Document =
            serde_yaml::from_str("{a: {b: [1, {c: d, e: []}, [f, g]], h: {}}, i: 1.5, j: null}")
                .unwrap();
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
