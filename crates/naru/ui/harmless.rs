//! Control characters in text that naru did not write. A terminal obeys them: they can set its title, write
//! its clipboard or paint over another service's line. Shown in caret form they do nothing.

/// `text` for one place of a terminal: every control character in caret form, line feeds too.
pub(crate) fn metadata(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut shown, c));
    shown
}

/// A line of a container's output for a terminal that shows several containers: colours (SGR sequences) and
/// tabs pass, everything else that a terminal would obey is shown in caret form.
pub(crate) fn line_of_container(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    let mut shown = String::with_capacity(text.len());
    let mut coloured = false;
    let mut rest = &*text;
    while let Some(c) = rest.chars().next() {
        let length = if c == '\x1b' { sgr_length(rest) } else { None };
        if let Some(length) = length {
            shown.push_str(&rest[..length]);
            coloured = true;
            rest = &rest[length..];
            continue;
        }
        if c == '\t' {
            shown.push(c)
        } else {
            push(&mut shown, c)
        }
        rest = &rest[c.len_utf8()..];
    }
    if coloured {
        // Colours end with the line: the next one may be another container's.
        shown.push_str("\x1b[0m");
    }
    shown
}

/// The length of the SGR sequence (`ESC [ numbers m`) that `text` begins with.
fn sgr_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'))?;
    parameters[end..].starts_with('m').then_some(2 + end + 1)
}

fn push(shown: &mut String, c: char) {
    let code = u32::from(c);
    let caret = match code {
        0..=0x1f => Some(("^", code + 0x40)),
        0x7f => Some(("^", 0x3f)),
        // A C1 control is short for ESC and the character 0x40 below it.
        0x80..=0x9f => Some(("^[", code - 0x40)),
        _ => None,
    };
    if matches!(code, 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069) {
        // They change the order in which a terminal shows what is around them.
        shown.push_str(&format!("<U+{code:04X}>"));
        return;
    }
    match caret.and_then(|(mark, code)| Some((mark, char::from_u32(code)?))) {
        Some((mark, letter)) => {
            shown.push_str(mark);
            shown.push(letter);
        }
        None => shown.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_pass_and_end_with_the_line() {
        assert_eq!(line_of_container(b"\x1b[1;31mred"), "\x1b[1;31mred\x1b[0m");
        assert_eq!(line_of_container(b"plain\ttext\r"), "plain\ttext");
    }

    #[test]
    fn nothing_else_that_a_terminal_obeys_passes() {
        let cases: [(&[u8], &str); 11] = [
            (b"\x1b]52;c;aGk=\x07", "^[]52;c;aGk=^G"),
            (b"\x1b[21t", "^[[21t"),
            (b"\x1b[2A\x1b[2K", "^[[2A^[[2K"),
            (b"\x1bPq\x1b\\", "^[Pq^[\\"),
            (b"\x1b]8;;http://x\x1b\\", "^[]8;;http://x^[\\"),
            (b"good\rbad", "good^Mbad"),
            ("\u{9b}31m".as_bytes(), "^[[31m"),
            (b"\x1b[31", "^[[31"),
            ("a\u{202e}b\u{2066}".as_bytes(), "a<U+202E>b<U+2066>"),
            (b"\x1b]0;title\x07\x1b[2J\x1b[H", "^[]0;title^G^[[2J^[[H"),
            (b"\x08\x08\x0b\x0c\x0e\x0f\x00\x7f", "^H^H^K^L^N^O^@^?"),
        ];
        for (raw, shown) in cases {
            assert_eq!(line_of_container(raw), shown, "{raw:?}");
        }
        assert_eq!(line_of_container(b"\xff\x9bx"), "\u{fffd}\u{fffd}x");
    }

    #[test]
    fn names_and_labels_lose_colours_and_line_feeds_too() {
        assert_eq!(metadata("a\x1b[31mb\nc\x7f"), "a^[[31mb^Jc^?");
    }
}
