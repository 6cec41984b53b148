//! Every property of a configuration is applied or refused: the list is taken from the types that read
//! it, and has a row for each in docs/oci-support.md.

use std::collections::BTreeSet;

use oci_spec::runtime::Spec;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess};
use serde::de::{Error as _, Visitor, value::Error};
use serde::{Deserialize, forward_to_deserialize_any};

/// Hands every struct each of its fields once, filled with something, and writes down their paths.
struct Walk<'a> {
    path: String,
    found: &'a mut BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn below(&mut self, name: &str) -> Walk<'_> {
        let separator = if self.path.is_empty() || name == "[]" { "" } else { "." };
        Walk { path: format!("{}{separator}{name}", self.path), found: self.found }
    }
}

impl<'de> Deserializer<'de> for Walk<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Fields { walk: self, fields: fields.iter(), name: "" })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Once(Some(self)))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Entry(Some(self)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(First(variants[0]))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(if self.path.contains("capabilities") { "CAP_CHOWN" } else { "0" })
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(false)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(0)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(0)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(0)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(0)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(0)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(0)
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple
        tuple_struct identifier ignored_any
    }
}

struct Fields<'a> {
    walk: Walk<'a>,
    fields: std::slice::Iter<'static, &'static str>,
    name: &'static str,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.fields.next() else { return Ok(None) };
        self.name = name;
        let path = self.walk.below(name).path;
        self.walk.found.insert(path);
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.walk.below(self.name))
    }
}

struct Once<'a>(Option<Walk<'a>>);

impl<'de> SeqAccess<'de> for Once<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let walk = self.0.take();
        walk.map(|mut walk| seed.deserialize(walk.below("[]"))).transpose()
    }
}

struct Entry<'a>(Option<Walk<'a>>);

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let key = self.0.as_ref().map(|_| StrDeserializer::new("key"));
        key.map(|key| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let mut walk = self.0.take().ok_or_else(|| Error::custom("a value without a key"))?;
        seed.deserialize(walk.below("[]"))
    }
}

struct First(&'static str);

impl<'de> EnumAccess<'de> for First {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        Ok((seed.deserialize(StrDeserializer::new(self.0))?, self))
    }
}

impl<'de> VariantAccess<'de> for First {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(Error::custom("no property is such an enum"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no property is such an enum"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom("no property is such an enum"))
    }
}

fn properties() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    Spec::deserialize(Walk { path: String::new(), found: &mut found }).unwrap();
    // Sections of other platforms are refused as a whole.
    let foreign = ["windows.", "solaris.", "vm.", "zos.", "linux.intelRdt."];
    found.retain(|path| !foreign.iter().any(|section| path.starts_with(section)));
    found
}

/// Property, what happens, the test's name.
fn rows() -> Vec<(String, String, String)> {
    let text = include_str!("../../../../docs/oci-support.md");
    let cells = |line: &str| {
        let mut cells =
            line.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_owned());
        (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap())
    };
    text.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

#[test]
fn every_property_has_a_row_and_every_row_is_a_property() {
    let (found, rows) = (properties(), rows());
    let is_below = |path: &str, above: &str| {
        let rest = path.strip_prefix(above);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    for path in &found {
        let has_parts = found.iter().any(|other| other != path && is_below(other, path));
        let has_row = rows.iter().any(|(row, ..)| is_below(path, row));
        assert!(has_row || has_parts, "{path} has no row in docs/oci-support.md");
    }
    for (row, ..) in &rows {
        assert!(found.contains(row), "{row} is no property");
    }
}

#[test]
fn what_is_refused_is_refused_by_its_name() {
    let mut refused = 0;
    for (row, ..) in rows().iter().filter(|(_, what, _)| what.starts_with("refused")) {
        let value = match row.as_str() {
            "process.user.username" | "process.commandLine" => serde_json::json!("x"),
            "linux.personality.flags" => serde_json::json!(["X"]),
            "vm" => serde_json::json!({"kernel": {"path": "/k"}}),
            "windows" => serde_json::json!({"layerFolders": []}),
            _ => serde_json::json!({}),
        };
        let mut spec = serde_json::to_value(crate::profile::default_spec()).unwrap();
        if row.starts_with("linux.personality") {
            spec["linux"]["personality"] = serde_json::json!({"domain": "LINUX"});
        }
        let parts: Vec<&str> = row.split('.').collect();
        let place = parts.iter().fold(&mut spec, |place, part| &mut place[*part]);
        *place = value;
        let spec: Spec = serde_json::from_value(spec).unwrap_or_else(|e| panic!("{row}: {e}"));
        let root = super::RootSource::Mount(0);
        let error = super::container_plan(&spec, root, (Vec::new(), &[]), None).unwrap_err();
        let expected = format!("the specification's `{row}` is not supported");
        assert!(error.to_string().starts_with(&expected), "{row}: {error}");
        refused += 1;
    }
    assert!(refused > 5);
}

#[test]
fn every_test_that_a_row_names_exists() {
    let mut sources = String::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    // Some are easier to see through the runtime's command line.
    let mut folders = vec![root.join("src"), root.join("tests"), root.join("../../tests/oci")];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &fs_err::read_to_string(path).unwrap();
            }
        }
    }
    for (row, what, test) in rows() {
        let needs_none = what.starts_with("refused") || what.starts_with("no property");
        assert!(needs_none || sources.contains(&format!("fn {test}(")), "{row}: {test}");
    }
}
