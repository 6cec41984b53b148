//! `naru config --explain PATH`: where a value comes from. docs/diagnostics.md describes both forms.

use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::{Colour, Printer, metadata};

/// Prints where the value at `path` comes from, as JSON when `json`.
///
/// # Errors
/// When the project cannot be loaded, has no such path, or nobody takes the output.
pub(crate) fn run(
    path: &str,
    json: bool,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    let loaded = settings.read_with_history().map_err(CommandError::config)?;
    let explanation = loaded.explain(path).map_err(|unknown| {
        let error = CommandError::user(format!("cannot explain `{path}`: {unknown}"));
        unknown.hint.into_iter().fold(error, CommandError::hint)
    })?;
    if json {
        let text = serde_json::to_string_pretty(&explanation).unwrap_or_default();
        printer.data_line(&text)?;
        return Ok(0);
    }
    let text = explanation.to_string();
    let shown = text.lines().map(|line| paint(&metadata(line), printer.stdout_colour) + "\n");
    printer.data(&shown.collect::<String>())?;
    Ok(0)
}

/// A line with its label in colour.
fn paint(line: &str, colour: bool) -> String {
    let labels =
        [("  from ", Colour::GREEN), ("  with ", Colour::CYAN), ("  lost ", Colour::YELLOW)];
    match labels.iter().find(|(label, _)| line.starts_with(label)) {
        Some((label, tint)) => tint.paint(label, colour) + &line[label.len()..],
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::paint;

    #[test]
    fn only_the_labels_are_coloured() {
        assert_eq!(paint("  from a.yaml:1:1: x", true), "\x1b[32m  from \x1b[0ma.yaml:1:1: x");
        assert_eq!(paint("    3 | from x", true), "    3 | from x");
    }
}
