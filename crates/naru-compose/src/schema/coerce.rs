//! Texts that stand for numbers and booleans, and numbers that stand for texts.

use std::fmt::Display;

use super::shape::Shape;
use crate::project::{Bytes, FileMode, Period, UnitError};
use crate::tree::{Node, Value};

/// The value that a scalar stands for, when it is not the scalar itself, or why it does not fit.
pub(super) fn coerce(node: &Node, shape: &Shape) -> Result<Option<Value>, String> {
    match (shape, node.as_text()) {
        (Shape::Strict(inner), _) => coerce(node, inner),
        (Shape::Words(words), Some(text)) if !words.contains(&text) => {
            Err(format!("`{text}` is not one of {}", words.join(", ")))
        }
        (Shape::Matching(holds, description, _), Some(text)) if !holds(text) => {
            Err(format!("`{text}` is not {description}"))
        }
        (Shape::Flag, Some(text)) => Ok(Some(Value::Bool(boolean(text)?))),
        (Shape::Scalar | Shape::Token | Shape::Pair | Shape::FlagText, None) => {
            Ok(node.scalar_text().map(Value::Text))
        }
        (Shape::Integer | Shape::Whole | Shape::Within(..), _) => {
            integer(node, shape).map(Value::Int).map(Some)
        }
        (Shape::Number, Some(text)) => {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            let number = number.ok_or_else(|| format!("`{text}` is not a number"))?;
            Ok(Some(Value::Float(number)))
        }
        (Shape::Number, None)
            if node.scalar_text().is_some_and(|text| text.ends_with(['N', 'f'])) =>
        {
            Err("a number has to be finite".to_owned())
        }
        (_, Some(text)) => unit(text, shape).map(|()| None),
        _ => Ok(None),
    }
}

/// Whether a text is a value of the unit that the shape asks for.
fn unit(text: &str, shape: &Shape) -> Result<(), String> {
    let words = |error: UnitError| error.to_string();
    match shape {
        Shape::Bytes | Shape::LooseBytes | Shape::BytesText => match text.parse::<Bytes>() {
            Ok(Bytes(..0)) => Err(UnitError::Bytes(text.to_owned()).to_string()),
            other => other.map(drop).map_err(words),
        },
        Shape::Period => text.parse::<Period>().map(drop).map_err(words),
        Shape::FileMode => text.parse::<FileMode>().map(drop).map_err(words),
        _ => Ok(()),
    }
}

fn integer(node: &Node, shape: &Shape) -> Result<i64, String> {
    let wrong = |what: &dyn Display| format!("`{what}` is not a whole number");
    let number = match &node.value {
        Value::Int(number) => *number,
        Value::Float(number) if number.fract() == 0.0 || matches!(shape, Shape::Whole) => {
            number.trunc().to_string().parse().map_err(|_| wrong(number))?
        }
        Value::Float(number) => return Err(wrong(number)),
        Value::Text(text) => text.parse().map_err(|_| wrong(text))?,
        _ => return Err(wrong(&node.kind())),
    };
    match shape {
        Shape::Within(least, most) if !(*least..=*most).contains(&number) => {
            Err(format!("{number} is not between {least} and {most}"))
        }
        _ => Ok(number),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Ok(true),
        "false" | "n" | "no" | "off" => Ok(false),
        _ => Err(format!("`{text}` is not a boolean: write true or false")),
    }
}
