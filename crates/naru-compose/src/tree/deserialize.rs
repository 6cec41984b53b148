//! From trees to typed values, by way of serde; an error keeps the place of the value it is about.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Node, Value};
use crate::source::Position;

/// The key under which a typed value keeps its `x-*` attributes.
const EXTENSIONS: &str = "#extensions";

/// Why a tree is not the typed value that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    message: String,
    /// The place, innermost known.
    pub(crate) at: Option<Position>,
    /// The keys and indexes from the value that was asked for to the one that is wrong.
    pub(crate) path: Vec<String>,
}

impl serde::de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), at: None, path: Vec::new() }
    }
}

impl Error {
    fn inside(mut self, at: Position, segment: &str) -> Self {
        self.at.get_or_insert(at);
        self.path.insert(0, segment.to_owned());
        self
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Null | Value::Broken => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) | Value::Date(text) => visitor.visit_borrowed_str(text),
            Value::List(entries) => visitor.visit_seq(Entries { entries, index: 0 }),
            Value::Map(map) => visitor.visit_map(Fields::new(map.iter(), &|_, _| true)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Map(map) = &self.value else { return self.deserialize_any(visitor) };
        if !fields.contains(&EXTENSIONS) {
            return visitor.visit_map(Fields::new(map.iter(), &|_, _| true));
        }
        let known = |key: &str, node: &Node| !key.starts_with("x-") && !node.is_null();
        let mut entries = Fields::new(map.iter(), &known);
        entries.extensions = Some(Fields::new(map.iter(), &|key, _| key.starts_with("x-")).entries);
        visitor.visit_map(entries)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.value {
            Value::Text(text) => visitor.visit_enum(Word(text)),
            _ => Err(Error::custom(format_args!("this must be a text, not {}", self.kind()))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _seed: S) -> Result<S::Value, Error> {
        Err(Error::custom("this must be a single word"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("this must be a single word"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom("this must be a single word"))
    }
}

struct Entries<'de> {
    entries: &'de [Node],
    index: usize,
}

impl<'de> SeqAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(node) = self.entries.get(self.index) else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(node)
            .map(Some)
            .map_err(|error| error.inside(node.at, &format!("[{index}]")))
    }
}

type Pair<'de> = (&'de str, &'de Node);

struct Fields<'de> {
    entries: Vec<Pair<'de>>,
    index: usize,
    extensions: Option<Vec<Pair<'de>>>,
}

impl<'de> Fields<'de> {
    fn new(
        entries: impl Iterator<Item = (&'de String, &'de Node)>,
        keep: &dyn Fn(&str, &Node) -> bool,
    ) -> Self {
        let entries = entries.map(|(key, node)| (key.as_str(), node));
        let entries = entries.filter(|(key, node)| keep(key, node)).collect();
        Self { entries, index: 0, extensions: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let key = match self.entries.get(self.index) {
            Some((key, _)) => key,
            None if self.extensions.as_ref().is_some_and(|entries| !entries.is_empty()) => {
                EXTENSIONS
            }
            None => return Ok(None),
        };
        let key: StrDeserializer<'_, Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        if let Some((key, node)) = self.entries.get(self.index) {
            self.index += 1;
            return seed.deserialize(*node).map_err(|error| error.inside(node.at, key));
        }
        let entries = self.extensions.take().unwrap_or_default();
        let map = Fields { entries, index: 0, extensions: None };
        seed.deserialize(serde::de::value::MapAccessDeserializer::new(map))
    }
}
