//! One line of a file below a problem, with marks under the word that the problem is about.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a terminal that an excerpt may take; longer lines are cut on both sides.
const WIDTH: usize = 160;

/// Columns that stay before the marks when a line is cut.
const BEFORE: usize = 60;

/// How many characters of a text are its first word or quoted text; 1 at least.
pub(super) fn extent(text: &str) -> usize {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let length = match quote {
        Some(quote) => text.chars().skip(1).position(|c| c == quote).map(|end| end + 2),
        None if text.starts_with("${") => text.chars().position(|c| c == '}').map(|end| end + 1),
        None => None,
    };
    let length = length.unwrap_or_else(|| {
        text.chars().take_while(|c| !matches!(c, ' ' | '\t' | ',' | ']' | '}' | '#')).count()
    });
    let is_key = text.chars().nth(length.wrapping_sub(1)) == Some(':');
    (length - usize::from(is_key)).max(1)
}

/// A line as it is shown, the space below it up to the marks, and `length` characters' marks.
pub(crate) fn around(line: &str, start: usize, length: usize) -> (String, String, String) {
    let line: Vec<char> = line.chars().collect();
    let start = start.min(line.len());
    let (from, lead) =
        if line.len() > WIDTH && start > BEFORE { (start - BEFORE, "…") } else { (0, "") };
    let to = line.len().min(from + WIDTH);
    let trail = if to < line.len() { "…" } else { "" };
    let shown: String = line[from..to].iter().collect();
    let space: String = line[from..start]
        .iter()
        .map(|c| if *c == '\t' { "\t".to_owned() } else { " ".repeat(c.width().unwrap_or(1)) })
        .collect();
    let marked: String = line[start..to.min(start + length)].iter().collect();
    let marks = "^".repeat(marked.width().max(1));
    (format!("{lead}{shown}{trail}"), " ".repeat(lead.width()) + &space, marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_end_with_the_word_the_quoted_text_or_the_variable() {
        for (text, length) in [
            ("ports: [80]", 5),
            ("\"a b\", c", 5),
            ("${A:-b c} d", 9),
            ("x]", 1),
            ("", 1),
            (":", 1),
        ] {
            assert_eq!(extent(text), length, "{text}");
        }
    }

    #[test]
    fn a_wide_character_has_two_marks_and_two_columns_of_space() {
        let (_, before, marks) = around("이름: 값", 4, 1);
        assert_eq!((before.as_str(), marks.as_str()), ("      ", "^^"));
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = "x".repeat(5000);
        let (text, before, _) = around(&line, 3000, 10);
        assert!(text.starts_with('…') && text.ends_with('…'));
        assert_eq!((text.chars().count(), before.len()), (WIDTH + 2, BEFORE + 1));
    }
}
