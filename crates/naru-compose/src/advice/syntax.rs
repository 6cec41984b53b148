//! Texts that are not YAML: what is probably wrong, told from the text around the place where the parser
//! gave up.

use crate::schema::closest;

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Line, counted from 1.
    pub(crate) line: usize,
    /// Column in characters, counted from 1.
    pub(crate) column: usize,
    /// What it is.
    pub(crate) message: String,
    /// What can be done.
    pub(crate) hint: String,
}

/// Finds out what is wrong. `said` is what the parser says, at this line and column.
pub(crate) fn explain(text: &str, said: &str, line: usize, column: usize) -> Fault {
    let place = Place { lines: text.lines().collect(), line, column };
    let found = if said.contains("unknown anchor") {
        Some(place.anchor())
    } else if said.contains("tab") {
        place.tab()
    } else if said.contains("quoted scalar") && said.contains("escape") {
        place.escape()
    } else if said.contains("quoted scalar") {
        Some(place.quote())
    } else {
        place.bracket(text).or_else(|| place.line_fault(said))
    };
    found.unwrap_or_else(|| {
        let message = format!("this is not YAML: {said}");
        place.fault(
            message,
            "look at the indentation, colons and quotes of this line and of the one before",
        )
    })
}

struct Place<'t> {
    lines: Vec<&'t str>,
    line: usize,
    column: usize,
}

/// Spaces before a line's first character.
fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The key that a line starts with, and what comes after its colon.
fn key(line: &str) -> Option<(&str, &str)> {
    let line = line.trim().trim_start_matches("- ");
    let (key, value) = line.split_once(':')?;
    (value.is_empty() || value.starts_with(' ')).then_some((key, value.trim()))
}

impl<'t> Place<'t> {
    fn fault(&self, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        self.fault_at((self.line, self.column), message, hint)
    }

    fn fault_at(
        &self,
        (line, column): (usize, usize),
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Fault {
        Fault { line, column, message: message.into(), hint: hint.into() }
    }

    /// The line with this number, counted from 1.
    fn text(&self, line: usize) -> &'t str {
        line.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or("")
    }

    /// The last line before this one that says something.
    fn before(&self, line: usize) -> Option<(usize, &'t str)> {
        (1..line).rev().map(|number| (number, self.text(number))).find(|(_, text)| {
            let text = text.trim();
            !text.is_empty() && !text.starts_with('#')
        })
    }

    fn tab(&self) -> Option<Fault> {
        let lines = [self.line, self.line.saturating_sub(1)];
        let line = lines.into_iter().find(|line| self.text(*line).contains('\t'))?;
        let column = self.text(line).chars().position(|c| c == '\t')? + 1;
        let hint = "replace each tab by two spaces: YAML is indented with spaces only";
        Some(self.fault_at((line, column), "there is a tab in the indentation", hint))
    }

    fn anchor(&self) -> Fault {
        let rest: String = self.text(self.line).chars().skip(self.column - 1).collect();
        let name: String = rest
            .trim_start_matches('*')
            .chars()
            .take_while(|c| !c.is_whitespace() && !",]}".contains(*c))
            .collect();
        if name.contains(|c: char| !(c.is_alphanumeric() || "_-".contains(c))) || name.is_empty() {
            let value = rest.split(" #").next().unwrap_or("").trim_end();
            let hint = format!("quote a value that starts with `*`: \"{value}\"");
            return self.fault(
                format!("`*{name}` is read as an alias, and there is no such anchor"),
                hint,
            );
        }
        let words = self.lines.iter().flat_map(|line| line.split_whitespace());
        let anchors = words.filter_map(|word| word.strip_prefix('&'));
        let hint = match closest(&name, anchors) {
            Some(similar) if similar != name => format!("did you mean `*{similar}`?"),
            Some(_) => format!("move the value with `&{name}` above its first use"),
            None => format!("write `&{name}` before the value that is meant, above this line"),
        };
        self.fault(format!("there is no anchor `&{name}` before this line"), hint)
    }

    fn escape(&self) -> Option<Fault> {
        let line = self.text(self.line);
        let known = "0abtnvfre \"/\\N_LPxuU\t";
        let mut chars = line.chars().enumerate().skip(self.column - 1);
        while let Some((index, c)) = chars.next() {
            if c != '\\' {
                continue;
            }
            let (_, next) = chars.next()?;
            if !known.contains(next) {
                let message = format!("`\\{next}` means nothing between double quotes");
                let hint = "write `\\\\` for a backslash, or use single quotes";
                return Some(self.fault_at((self.line, index + 1), message, hint));
            }
        }
        None
    }

    fn quote(&self) -> Fault {
        let quote = self.text(self.line).chars().nth(self.column - 1).unwrap_or('"');
        let hint = format!("add `{quote}` where the text ends");
        self.fault("the quote that opens here is not closed", hint)
    }

    /// A bracket that is open where the parser gave up.
    fn bracket(&self, text: &str) -> Option<Fault> {
        let mut open: Vec<(char, usize, usize)> = Vec::new();
        'lines: for (line, number) in text.lines().zip(1..=self.line) {
            let (mut quote, mut before) = (None, ' ');
            for (c, column) in line.chars().zip(1..) {
                if (number, column) >= (self.line, self.column) && open.is_empty() {
                    break 'lines;
                }
                let starts = matches!(before, ' ' | '[' | '{' | ',' | ':');
                match (quote, c) {
                    (Some(open), c) if c == open => quote = None,
                    (Some(_), _) => {}
                    (None, '"' | '\'') if starts => quote = Some(c),
                    (None, '#') if before == ' ' => break,
                    (None, '[' | '{') if starts || !open.is_empty() => {
                        open.push((c, number, column))
                    }
                    (None, ']' | '}') => {
                        open.pop();
                    }
                    _ => {}
                }
                before = c;
            }
        }
        let (bracket, line, column) = open.pop()?;
        let closing = if bracket == '[' { ']' } else { '}' };
        let message = format!("the `{bracket}` that opens here is not closed");
        Some(self.fault_at((line, column), message, format!("add `{closing}` where it ends")))
    }

    /// A fault of a single line, or of the one before.
    fn line_fault(&self, said: &str) -> Option<Fault> {
        if said.contains("unexpected character") {
            return self.character();
        }
        if said.contains("mapping values are not allowed") {
            return self.colon();
        }
        if said.contains("did not find expected key") {
            return self.indentation();
        }
        said.contains("expect ':'").then(|| self.neither()).flatten()
    }

    fn character(&self) -> Option<Fault> {
        let rest: String = self.text(self.line).chars().skip(self.column - 1).collect();
        let first = rest.chars().next()?;
        let value = rest.split(" #").next().unwrap_or("").trim_end();
        let message = format!("a value cannot start with `{first}`");
        Some(self.fault(message, format!("quote it: \"{value}\"")))
    }

    /// A colon where none can be: the line before is at fault, or the value has one.
    fn colon(&self) -> Option<Fault> {
        let line = self.text(self.line);
        let (number, before) = self.before(self.line)?;
        let first = line.trim_start().trim_start_matches("- ");
        if let Some((_, value)) = first.split_once(": ")
            && self.column > line.find(": ").map_or(0, |end| line[..end].chars().count()) + 1
        {
            let message = "there is a `: ` inside a value without quotes";
            return Some(self.fault(message, format!("quote the value: \"{}\"", value.trim())));
        }
        let (here, there) = (indentation(line), indentation(before));
        let column = before.len() - before.trim_start().len() + 1;
        if let Some((key, value)) =
            key(before).filter(|(_, value)| here > there && !value.is_empty())
        {
            let name = first.split(':').next().unwrap_or("");
            let message =
                format!("`{name}` is indented deeper than `{key}`, which has the value `{value}`");
            let hint = format!("indent both alike, with {there} spaces");
            return Some(self.fault_at((self.line, here + 1), message, hint));
        }
        if let Some((key, value)) = before
            .trim()
            .split_once(':')
            .filter(|(_, value)| !value.is_empty() && !value.starts_with(' '))
        {
            let message = format!("there is no space after the colon in `{}`", before.trim());
            return Some(self.fault_at(
                (number, column),
                message,
                format!("write `{key}: {value}`"),
            ));
        }
        if key(before).is_none() {
            let name = before.trim();
            let message = format!("there is no colon after `{name}`");
            return Some(self.fault_at((number, column), message, format!("write `{name}:`")));
        }
        None
    }

    /// A line whose indentation fits none above, or an entry among keys.
    fn indentation(&self) -> Option<Fault> {
        let line = self.text(self.line);
        let here = indentation(line);
        if line.trim_start().starts_with('-') {
            let message =
                "this is an entry of a list, and the lines around it are keys of a mapping";
            let hint = "put it below the key that it belongs to, or remove the `-`";
            return Some(self.fault_at((self.line, here + 1), message, hint));
        }
        let mut fitting: Vec<(usize, &str)> = Vec::new();
        for number in (1..self.line).rev() {
            let text = self.text(number);
            let Some((key, _)) = key(text).filter(|_| !text.trim().starts_with('#')) else {
                continue;
            };
            let depth = indentation(text);
            if fitting.last().is_none_or(|(last, _)| depth < *last) {
                fitting.push((depth, key));
            }
        }
        let places: Vec<String> =
            fitting.iter().take(3).map(|(depth, key)| format!("{depth} like `{key}`")).collect();
        let message = format!("the indentation of {here} spaces fits no line above");
        let hint =
            format!("indent it with as many spaces as what it belongs to: {}", places.join(", "));
        Some(self.fault_at((self.line, here + 1), message, hint))
    }

    /// A line that is neither a key nor an entry.
    fn neither(&self) -> Option<Fault> {
        let own = key(self.text(self.line)).is_none() && !self.text(self.line).trim().is_empty();
        let (number, text) =
            if own { (self.line, self.text(self.line)) } else { self.before(self.line)? };
        let content = text.trim();
        let entry = self.before(number).is_some_and(|(_, before)| before.trim().starts_with('-'));
        let hint =
            if entry { format!("write `- {content}`") } else { format!("write `{content}: …`") };
        let message = format!("`{content}` is neither a key with a colon nor an entry with `- `");
        Some(self.fault_at((number, indentation(text) + 1), message, hint))
    }
}
