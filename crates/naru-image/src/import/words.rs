//! Splitting and expanding the words of instructions as Dockerfiles do.

use std::collections::BTreeMap;

/// A text split at blanks outside quotes, with its variables replaced and its quotes taken away.
pub(super) fn split(
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match (character, quote) {
            (' ' | '\t' | '\n' | '\r', None) => words.extend(word.take()),
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, Some(open)) if character == open => quote = None,
            ('\\', None | Some('"')) => match rest.next() {
                Some(next) if quote.is_none() || matches!(next, '"' | '\\' | '$') => {
                    word.get_or_insert_default().push(next);
                }
                Some(next) => word.get_or_insert_default().extend(['\\', next]),
                None => return Err("it ends with a backslash"),
            },
            ('$', None | Some('"')) => {
                let value = variable(&mut rest, environment)?;
                word.get_or_insert_default().push_str(&value);
            }
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

/// What stands for `$NAME` or `${NAME}`, of which the dollar sign has been read.
fn variable(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    environment: &BTreeMap<String, String>,
) -> Result<String, &'static str> {
    let braces = rest.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(character) = rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
        name.push(character);
    }
    if braces && (name.is_empty() || rest.next() != Some('}')) {
        return Err("only $NAME and ${NAME} are expanded here");
    }
    if name.is_empty() {
        return Ok("$".to_owned());
    }
    Ok(environment.get(&name).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_blanks_outside_quotes() {
        let environment = BTreeMap::from([("A".to_owned(), "x y".to_owned())]);
        let check = |text| split(text, &environment).unwrap();
        assert_eq!(check(r#"a  "b c" d\ e 'f "g' """#), ["a", "b c", "d e", "f \"g", ""]);
        assert_eq!(check(r#"$A ${A}z '$A' \$A $ $B"#), ["x y", "x yz", "$A", "$A", "$", ""]);
        assert!(split("\"a", &environment).is_err());
        assert!(split("${A:-b}", &environment).is_err());
        assert!(split("a\\", &environment).is_err());
    }
}
