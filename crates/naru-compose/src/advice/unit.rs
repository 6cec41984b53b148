//! Hints for values of the right kind that the attribute does not take.

use crate::schema::{Shape, closest};

/// What to write instead of a text that has not the form its attribute asks for.
pub(crate) fn for_value(shape: &Shape, text: &str) -> Option<String> {
    Some(match shape {
        Shape::Words(words) => similar(text, words.iter().copied()).map_or_else(
            || "write one of them".to_owned(),
            |word| format!("did you mean `{word}`?"),
        ),
        Shape::Matching(_, description, _) => {
            let words = description.split([' ', ',']).filter(|word| word.len() > 3);
            match similar(text, words) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("write {description}"),
            }
        }
        Shape::Period => period(text),
        Shape::Bytes | Shape::LooseBytes | Shape::BytesText => bytes(text),
        Shape::FileMode => {
            "write the mode as an octal number in quotes, such as \"0440\"".to_owned()
        }
        Shape::Flag | Shape::Boolean => "write true or false".to_owned(),
        Shape::Integer | Shape::Whole => "write a whole number such as 2".to_owned(),
        Shape::Within(least, most) => format!("write a number from {least} to {most}"),
        Shape::Number => "write a number such as 0.5".to_owned(),
        _ => return None,
    })
}

/// The word that was probably meant: one that is spelled alike, or that has the text in it.
fn similar<'a>(text: &str, words: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let contains = |word: &&str| text.len() > 3 && word.contains(text);
    closest(text, words.clone()).or_else(|| words.clone().find(contains))
}

/// A number, and what comes after it.
fn parts(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text[end..].trim()))
}

fn period(text: &str) -> String {
    let unit = parts(text).and_then(|(number, unit)| {
        let unit = match unit.to_ascii_lowercase().as_str() {
            "" | "sec" | "secs" | "second" | "seconds" => "s",
            "min" | "mins" | "minute" | "minutes" => "m",
            "hr" | "hrs" | "hour" | "hours" => "h",
            "msec" | "millisecond" | "milliseconds" => "ms",
            "d" | "day" | "days" => {
                return number.parse::<u32>().ok().map(|days| format!("{}h", days * 24));
            }
            _ => return None,
        };
        Some(format!("{number}{unit}"))
    });
    match unit {
        Some(instead) => format!("write `{instead}`"),
        None => {
            "write numbers with the units us, ms, s, m and h, such as `30s` or `1m30s`".to_owned()
        }
    }
}

fn bytes(text: &str) -> String {
    let unit = parts(text).and_then(|(number, unit)| {
        let unit = match unit.to_ascii_lowercase().as_str() {
            "kib" | "ki" | "kilobytes" => "k",
            "mib" | "mi" | "megabytes" => "m",
            "gib" | "gi" | "gigabytes" => "g",
            _ => return None,
        };
        Some(format!("{number}{unit}"))
    });
    match unit {
        Some(instead) => format!("write `{instead}`"),
        None => "write a number with the unit b, k, m or g, such as `512m`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_people_write_are_translated() {
        for (text, hint) in
            [("5 seconds", "5s"), ("1 minute", "1m"), ("2 days", "48h"), ("3hrs", "3h")]
        {
            assert_eq!(period(text), format!("write `{hint}`"));
        }
        assert!(period("soon").contains("such as `30s`"));
        assert_eq!(bytes("512 MiB"), "write `512m`");
        assert!(bytes("10 apples").contains("such as `512m`"));
    }

    #[test]
    fn a_word_is_found_by_a_part_of_it() {
        let words = ["service_started", "service_healthy"];
        assert_eq!(similar("healthy", words.into_iter()), Some("service_healthy"));
        assert_eq!(similar("x", words.into_iter()), None);
    }
}
