//! What is printed: a tree of values that keeps the order of its keys, made of anything that serde can
//! serialize. A mapping is a list of pairs, since it is walked and never searched for long.

use std::borrow::Cow;

use serde::de::value::Error;
use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple,
    SerializeTupleStruct, Serializer,
};

/// A value that keeps the order of its keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Document {
    /// Nothing.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that needs all 64 bits.
    Large(u64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Self>),
    /// A mapping, no key of which is there twice.
    Map(Mapping),
}

/// A mapping, in the order in which it is printed.
pub(crate) type Mapping = Vec<(Key, Document)>;

/// A key: most are names of attributes, which need no memory of their own.
pub(crate) type Key = Cow<'static, str>;

impl Document {
    /// The document of a value; nothing when the value has keys that are no texts.
    pub(crate) fn of(value: &impl Serialize) -> Self {
        value.serialize(Builder).unwrap_or_default()
    }

    /// The mapping, to change it.
    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Mapping> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The value of a key, to change it; nothing when this is no mapping or has no such key.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let found = self.as_map_mut()?.iter_mut().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }

    /// The values of a mapping or the entries of a list, to change them.
    pub(crate) fn children_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        let (list, map) = match self {
            Self::List(entries) => (Some(entries), None),
            Self::Map(map) => (None, Some(map)),
            _ => (None, None),
        };
        let values = map.into_iter().flatten().map(|(_, value)| value);
        list.into_iter().flatten().chain(values)
    }
}

/// Takes a key out of a mapping.
pub(crate) fn take(map: &mut Mapping, key: &str) -> Option<Document> {
    let place = map.iter().position(|(name, _)| name == key)?;
    Some(map.remove(place).1)
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Large(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(entries) => serializer.collect_seq(entries),
            Self::Map(map) => serializer.collect_map(map.iter().map(|(key, value)| (key, value))),
        }
    }
}

/// Makes documents.
struct Builder;

/// A list that is not complete yet.
struct Entries(Vec<Document>);

/// A mapping that is not complete yet, and the key whose value comes next.
struct Fields(Mapping, Key);

impl Serializer for Builder {
    type Ok = Document;
    type Error = Error;
    type SerializeSeq = Entries;
    type SerializeTuple = Entries;
    type SerializeTupleStruct = Entries;
    type SerializeTupleVariant = Impossible<Document, Error>;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Impossible<Document, Error>;

    fn serialize_bool(self, value: bool) -> Result<Document, Error> {
        Ok(Document::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Document, Error> {
        Ok(Document::Int(value.into()))
    }

    fn serialize_i16(self, value: i16) -> Result<Document, Error> {
        Ok(Document::Int(value.into()))
    }

    fn serialize_i32(self, value: i32) -> Result<Document, Error> {
        Ok(Document::Int(value.into()))
    }

    fn serialize_i64(self, value: i64) -> Result<Document, Error> {
        Ok(Document::Int(value))
    }

    fn serialize_u8(self, value: u8) -> Result<Document, Error> {
        Ok(Document::Int(value.into()))
    }

    fn serialize_u16(self, value: u16) -> Result<Document, Error> {
        Ok(Document::Int(value.into()))
    }

    fn serialize_u32(self, value: u32) -> Result<Document, Error> {
        Ok(Document::Int(value.into()))
    }

    fn serialize_u64(self, value: u64) -> Result<Document, Error> {
        Ok(i64::try_from(value).map_or(Document::Large(value), Document::Int))
    }

    fn serialize_f32(self, value: f32) -> Result<Document, Error> {
        Ok(Document::Float(value.into()))
    }

    fn serialize_f64(self, value: f64) -> Result<Document, Error> {
        Ok(Document::Float(value))
    }

    fn serialize_char(self, value: char) -> Result<Document, Error> {
        Ok(Document::Text(value.into()))
    }

    fn serialize_str(self, value: &str) -> Result<Document, Error> {
        Ok(Document::Text(value.to_owned()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Document, Error> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<Document, Error> {
        Ok(Document::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Document, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Document, Error> {
        Ok(Document::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Document, Error> {
        Ok(Document::Null)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Document, Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<Document, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Document, Error> {
        Ok(Document::Map(vec![(variant.into(), value.serialize(self)?)]))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Entries, Error> {
        Ok(Entries(Vec::with_capacity(length.unwrap_or(0))))
    }

    fn serialize_tuple(self, length: usize) -> Result<Entries, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _name: &'static str, length: usize) -> Result<Entries, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(unknown(name, variant))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Fields, Error> {
        Ok(Fields(Vec::with_capacity(length.unwrap_or(0)), Key::default()))
    }

    fn serialize_struct(self, _name: &'static str, length: usize) -> Result<Fields, Error> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(unknown(name, variant))
    }
}

fn unknown(name: &str, variant: &str) -> Error {
    serde::ser::Error::custom(format_args!("{name}::{variant} has no place in YAML"))
}

impl SerializeSeq for Entries {
    type Ok = Document;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.0.push(value.serialize(Builder)?);
        Ok(())
    }

    fn end(self) -> Result<Document, Error> {
        Ok(Document::List(self.0))
    }
}

impl SerializeTuple for Entries {
    type Ok = Document;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<Document, Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeTupleStruct for Entries {
    type Ok = Document;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<Document, Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeMap for Fields {
    type Ok = Document;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let Document::Text(key) = key.serialize(Builder)? else {
            return Err(serde::ser::Error::custom("a key has to be a text"));
        };
        self.1 = key.into();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = std::mem::take(&mut self.1);
        self.0.push((key, value.serialize(Builder)?));
        Ok(())
    }

    fn end(self) -> Result<Document, Error> {
        Ok(Document::Map(self.0))
    }
}

impl SerializeStruct for Fields {
    type Ok = Document;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.0.push((key.into(), value.serialize(Builder)?));
        Ok(())
    }

    fn end(self) -> Result<Document, Error> {
        Ok(Document::Map(self.0))
    }
}
