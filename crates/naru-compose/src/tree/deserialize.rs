//! From trees to typed values, by way of serde; an error keeps the place of the value it is about.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Entry, Map, Node, Value};
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
            Value::Map(map) => visitor.visit_map(Fields::new(map, Which::All)),
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
        let which = if fields.contains(&EXTENSIONS) { Which::Known } else { Which::All };
        visitor.visit_map(Fields::new(map, which))
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

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len() - self.index)
    }
}

/// Which entries of a mapping are given to a typed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// All of them.
    All,
    /// Those that say something, and all `x-*` as one called [`EXTENSIONS`] at the end.
    Known,
    /// Those called `x-*`.
    Extensions,
}

struct Fields<'de> {
    map: &'de Map,
    rest: indexmap::map::Iter<'de, String, Entry>,
    which: Which,
    /// The one whose key was given last.
    current: Option<(&'de String, &'de Entry)>,
    /// Whether there are `x-*` that were not given yet.
    extensions: bool,
}

impl<'de> Fields<'de> {
    fn new(map: &'de Map, which: Which) -> Self {
        Self { map, rest: map.0.iter(), which, current: None, extensions: false }
    }

    fn advance(&mut self) -> Option<&'de str> {
        let Self { rest, which, extensions, .. } = self;
        self.current = rest.find(|(key, entry)| {
            let extension = *which != Which::All && key.starts_with("x-");
            *extensions |= extension && *which == Which::Known;
            match which {
                Which::All => true,
                Which::Known => !extension && !entry.node.is_null(),
                Which::Extensions => extension,
            }
        });
        match self.current {
            Some((key, _)) => Some(key),
            None => std::mem::take(extensions).then_some(EXTENSIONS),
        }
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(key) = self.advance() else { return Ok(None) };
        let key: StrDeserializer<'_, Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        if let Some((key, Entry { node, .. })) = self.current.take() {
            return seed.deserialize(node).map_err(|error| error.inside(node.at, key));
        }
        let extensions = Self::new(self.map, Which::Extensions);
        seed.deserialize(serde::de::value::MapAccessDeserializer::new(extensions))
    }
}
