//! What a scalar without quotes means. These are the rules of go-yaml, which mix YAML 1.1 and 1.2:
//! `012` is octal and `1_000` a number, but `yes` is a text.

use std::borrow::Cow;

use super::Value;

/// The value of a scalar without quotes.
pub(super) fn resolve(text: &str) -> Value {
    special(text).unwrap_or_else(|| Value::Text(text.to_owned()))
}

/// The value of a scalar without quotes that is no text.
fn special(text: &str) -> Option<Value> {
    if starts_number(text) {
        return number(text);
    }
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => return None,
    })
}

fn starts_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
}

fn number(text: &str) -> Option<Value> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Some(Value::Float(f64::INFINITY));
        }
        "-.inf" | "-.Inf" | "-.INF" => return Some(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    if is_date(text) {
        return Some(Value::Date(text.to_owned()));
    }
    let plain = if text.contains('_') { text.replace('_', "").into() } else { Cow::from(text) };
    integer(&plain).map(Value::Int).or_else(|| float(&plain).map(Value::Float))
}

/// Whether a text without quotes is read as this very text, also by readers that know the booleans
/// and the numbers of YAML 1.1 (`yes`, `12:30`).
pub(crate) fn is_plain_text(text: &str) -> bool {
    const BOOLEANS: [&str; 8] = ["y", "yes", "on", "n", "no", "off", "true", "false"];
    /// No word that means something else has more bytes.
    const LONGEST: usize = "false".len();
    if starts_number(text) {
        return number(text).is_none() && !is_sexagesimal(text);
    }
    if text.len() > LONGEST {
        return true;
    }
    let boolean = BOOLEANS.iter().any(|word| word.eq_ignore_ascii_case(text))
        && (is_lower(text)
            || is_capitalized(text)
            || !text.bytes().any(|c| c.is_ascii_lowercase()));
    special(text).is_none() && !boolean && text != "<<"
}

fn is_lower(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_capitalized(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_uppercase()) && chars.all(|c| c.is_ascii_lowercase())
}

/// A number of YAML 1.1 in base 60: `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or("");
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let mut rest = parts.peekable();
    rest.peek().is_some()
        && first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && digits(fraction)
        && rest.all(|part| matches!(part.as_bytes(), [b'0'..=b'5', b'0'..=b'9'] | [b'0'..=b'9']))
}

/// A whole number in Go's notation: `0x`, `0o`, `0b`, and a leading 0 for octal.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    match (negative, radix) {
        (_, 10) => text.parse().ok(),
        (false, _) => i64::from_str_radix(digits, radix).ok(),
        (true, _) => i64::from_str_radix(&format!("-{digits}"), radix).ok(),
    }
}

/// A number with a point or an exponent: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn float(text: &str) -> Option<f64> {
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E');
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    let number: Option<f64> =
        (has_digit && text.chars().all(allowed)).then(|| text.parse().ok()).flatten();
    // One that is too large is a text to go-yaml.
    number.filter(|number| number.is_finite())
}

/// Whether go-yaml reads it as a point in time: `2020-01-01`, alone, with a time after a space, or
/// with a time and its zone after a `T`.
fn is_date(text: &str) -> bool {
    if text.as_bytes().get(4) != Some(&b'-') {
        return false;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(end) => (&text[..end], Some((&text[end..=end], &text[end + 1..]))),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let mut next = |lengths, largest| digits(parts.next()?, lengths, largest);
    let (Some(year), Some(month), Some(day)) =
        (next(4..=4, 9999), next(1..=2, 12), next(1..=2, 31))
    else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let exists = parts.next().is_none() && month > 0 && (1..=days).contains(&day);
    exists && time.is_none_or(|(separator, time)| is_time(time, separator != " "))
}

fn digits(text: &str, lengths: std::ops::RangeInclusive<usize>, largest: u32) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| *number <= largest);
    number.filter(|_| digits && lengths.contains(&text.len()))
}

fn is_time(text: &str, zoned: bool) -> bool {
    let (clock, zone) = match text.find(['Z', '+', '-']) {
        Some(start) => text.split_at(start),
        None => (text, ""),
    };
    let is_zone = match zone.as_bytes() {
        [] => !zoned,
        b"Z" => zoned,
        [_, ..] => {
            let (hours, minutes) = zone[1..].split_once(':').unwrap_or_default();
            zoned && digits(hours, 2..=2, 24).is_some() && digits(minutes, 2..=2, 60).is_some()
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let mut next =
        |largest| parts.next().is_some_and(|part| digits(part, 1..=2, largest).is_some());
    let is_clock = next(23) && next(59) && next(59);
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_zone && is_clock && parts.next().is_none() && is_fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        assert_eq!(format!("{:?}", resolve(text)), expect, "{text}");
    }

    #[test]
    fn plain_scalars_mean_what_go_yaml_says() {
        check("True", "Bool(true)");
        check("yes", "Text(\"yes\")");
        check("0x1F", "Int(31)");
        check("012", "Int(10)");
        check("0o17", "Int(15)");
        check("1_000", "Int(1000)");
        check("1e3", "Float(1000.0)");
        check("1.50", "Float(1.5)");
        check("08", "Float(8.0)");
        check("12:30:45", "Text(\"12:30:45\")");
        check("22:22", "Text(\"22:22\")");
        check("2020-01-01", "Date(\"2020-01-01\")");
        check("2020-02-30", "Text(\"2020-02-30\")");
        check("2020-02-29T1:02:03Z", "Date(\"2020-02-29T1:02:03Z\")");
        check("2020-01-01T00:00:00", "Text(\"2020-01-01T00:00:00\")");
        check("2020-01-01 00:00:00.5", "Date(\"2020-01-01 00:00:00.5\")");
        check("1e400", "Text(\"1e400\")");
        check("~", "Null");
        check("-", "Text(\"-\")");
        check("+12", "Int(12)");
        check("1.2.3", "Text(\"1.2.3\")");
        check("--x", "Text(\"--x\")");
        check("-1", "Int(-1)");
    }
}
