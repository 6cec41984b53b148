//! The order of keys: attributes in the order of the typed project, names as go-yaml sorts them.

use std::cmp::Ordering;

use super::{Document, Key, Mapping};
use crate::schema::Shape;

/// Sorts the names in a document of this shape; attributes stay where they are, `x-*` come last.
pub(crate) fn sort_by_shape(document: &mut Document, shape: &Shape) {
    match (document, shape) {
        (document, Shape::Optional(inner)) => sort_by_shape(document, inner),
        (document, Shape::OneOf(shapes)) => {
            let fitting = shapes.iter().find(|shape| holds(shape, document));
            sort_by_shape(document, fitting.unwrap_or(&Shape::Any));
        }
        (Document::Map(map), Shape::Object(object)) => {
            let mut all_known = true;
            for (key, value) in map.iter_mut() {
                let field = object.field(key);
                all_known &= field.is_some();
                sort_by_shape(value, field.unwrap_or(&Shape::Any));
            }
            if all_known {
                return;
            }
            let entries = std::mem::take(map).into_iter();
            let (known, mut others): (Vec<_>, Vec<_>) =
                entries.partition(|(key, _)| object.field(key).is_some());
            sort_keys(&mut others);
            *map = known;
            map.append(&mut others);
        }
        (Document::Map(map), Shape::Map(inner) | Shape::Named(inner)) => names(map, inner),
        (Document::Map(map), _) => names(map, &Shape::Any),
        (Document::List(entries), Shape::List(inner) | Shape::Set(inner)) => {
            entries.iter_mut().for_each(|entry| sort_by_shape(entry, inner));
        }
        (Document::List(entries), _) => {
            entries.iter_mut().for_each(|entry| sort_by_shape(entry, &Shape::Any));
        }
        _ => {}
    }
}

/// Sorts the keys of all mappings with this order.
pub(crate) fn sort_all(document: &mut Document, order: Sort) {
    if let Document::Map(map) = document {
        match order {
            Sort::Natural => sort_keys(map),
            Sort::Bytes => map.sort_by(by_bytes),
        }
    }
    document.children_mut().for_each(|child| sort_all(child, order));
}

/// An order of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// As YAML is printed: `a2` before `a10`.
    Natural,
    /// As JSON is printed.
    Bytes,
}

/// Sorts the keys of one mapping as YAML is printed.
pub(crate) fn sort_keys(map: &mut Mapping) {
    map.sort_by(|(a, _), (b, _)| compare(a, b));
}

/// The order of two entries as JSON is printed.
pub(crate) fn by_bytes((a, _): &(Key, Document), (b, _): &(Key, Document)) -> Ordering {
    a.cmp(b)
}

fn names(map: &mut Mapping, inner: &Shape) {
    sort_keys(map);
    map.iter_mut().for_each(|(_, value)| sort_by_shape(value, inner));
}

/// Whether a mapping or list can have this shape.
fn holds(shape: &Shape, document: &Document) -> bool {
    match shape {
        Shape::Optional(inner) => holds(inner, document),
        Shape::Object(_) | Shape::Map(_) | Shape::Named(_) => matches!(document, Document::Map(_)),
        Shape::List(_) | Shape::Set(_) => matches!(document, Document::List(_)),
        _ => false,
    }
}

/// The order of go-yaml: runs of digits by their value, other signs before letters, but letters
/// before other signs right after digits.
fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    let mut after_digits = false;
    loop {
        let (Some(x), Some(y)) = (Token::take(&mut left), Token::take(&mut right)) else {
            return a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        };
        let order = x.rank(after_digits).cmp(&y.rank(after_digits)).then_with(|| x.value(&y));
        if order != Ordering::Equal {
            return order;
        }
        after_digits = matches!(x, Token::Digits(_));
    }
}

/// A part of a key that is compared as a whole.
enum Token<'a> {
    Digits(&'a str),
    Letter(char),
    Sign(char),
}

impl<'a> Token<'a> {
    fn take(rest: &mut &'a str) -> Option<Self> {
        let first = rest.chars().next()?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let length = if digits > 0 { digits } else { first.len_utf8() };
        let (part, after) = rest.split_at(length);
        *rest = after;
        Some(match first {
            _ if digits > 0 => Self::Digits(part),
            letter if letter.is_alphabetic() => Self::Letter(letter),
            sign => Self::Sign(sign),
        })
    }

    fn rank(&self, after_digits: bool) -> u8 {
        match self {
            Self::Letter(_) if after_digits => 0,
            Self::Sign(_) => 1,
            Self::Digits(_) => 2,
            Self::Letter(_) => 3,
        }
    }

    fn value(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Letter(a) | Self::Sign(a), Self::Letter(b) | Self::Sign(b)) => a.cmp(b),
            (Self::Digits(a), Self::Digits(b)) => {
                let (x, y) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
                let by_value = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
                by_value.then_with(|| a.len().cmp(&b.len()))
            }
            _ => Ordering::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_go_yaml_does() {
        let mut names = ["z10", "z9", "a-b", "a1", "ab", "a", "a.b", "A", "a01", "a1b", "a1-"];
        names.sort_by(|a, b| compare(a, b));
        let expected = ["A", "a", "a-b", "a.b", "a1", "a1b", "a1-", "a01", "ab", "z9", "z10"];
        assert_eq!(names, expected);
    }
}
