//! JSON as Go's encoder writes it.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::Document;

/// The text with `indent` spaces per level, without a newline at its end. Whole numbers have no point, and the characters that
/// mean something in HTML are escaped.
pub(crate) fn to_json(mut document: Document, indent: usize) -> String {
    shorten(&mut document);
    let (mut bytes, indent) = (Vec::new(), " ".repeat(indent));
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    // Writing into memory cannot fail, and a document has only keys that JSON has as well.
    document.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Turns numbers such as 2.0 into whole numbers, which is how Go prints them.
fn shorten(document: &mut Document) {
    /// Above this a double does not hold every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match document {
        Document::Float(value) if value.fract() == 0.0 && value.abs() < EXACT => {
            let whole: Option<i64> = format!("{value:.0}").parse().ok();
            whole.into_iter().for_each(|whole| *document = Document::Int(whole));
        }
        document => document.children_mut().for_each(shorten),
    }
}
