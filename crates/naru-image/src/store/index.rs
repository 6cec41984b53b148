//! `index.json`: which images exist and what they are called.

use std::collections::HashMap;

use fs_err as fs;
use oci_spec::image::{Descriptor, ImageIndex, ImageIndexBuilder, MediaType, SCHEMA_VERSION};

use super::{Named, Store};
use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;

/// The annotation that carries a descriptor's name.
pub(crate) const NAME: &str = "org.opencontainers.image.ref.name";
pub(super) const EMPTY: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// The content of `index.json`, changed in memory and written back whole.
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    descriptor: Descriptor,
    manifest: Digest,
    name: Option<Reference>,
}

impl Index {
    pub(super) fn read(store: &Store) -> Result<Self, Error> {
        let bytes = fs::read(store.path("index.json")).map_err(Error::Store)?;
        let index: ImageIndex = serde_json::from_slice(&bytes).map_err(|source| Error::Json {
            object: store.path("index.json").display().to_string(),
            source,
        })?;
        let entries = index.manifests().iter().filter_map(Entry::new).collect();
        Ok(Self { entries })
    }

    pub(super) fn write(&self, store: &Store) -> Result<(), Error> {
        let manifests: Vec<_> = self.entries.iter().map(|entry| entry.descriptor.clone()).collect();
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(manifests)
            .build()
            .expect("every required field is set");
        let path = store.path("index.json");
        let bytes = serde_json::to_vec(&index)
            .map_err(|source| Error::Json { object: path.display().to_string(), source })?;
        naru_state::atomic::write_durable(&path, &bytes).map_err(Error::Store)
    }

    /// Every image once, with all its names.
    pub(super) fn images(&self) -> Named {
        let mut images = Named::new();
        for entry in &self.entries {
            let names = images.entry(entry.manifest).or_default();
            names.extend(entry.name.clone());
        }
        images.values_mut().for_each(|names| names.sort());
        images
    }

    pub(super) fn holds(&self, manifest: Digest) -> bool {
        self.entries.iter().any(|entry| entry.manifest == manifest)
    }

    /// The image of this name; one pinned by digest is found under any name of its repository.
    pub(super) fn find(&self, reference: &Reference) -> Option<Digest> {
        let same = |entry: &&Entry| match (&entry.name, reference.digest()) {
            (Some(name), Some(digest)) => {
                entry.manifest == digest && name.familiar_name() == reference.familiar_name()
            }
            (Some(name), None) => name == reference,
            (None, _) => false,
        };
        self.entries.iter().find(same).map(|entry| entry.manifest)
    }

    /// Adds an image; without a name it stays reachable by its id.
    pub(super) fn add(&mut self, descriptor: Descriptor, manifest: Digest) {
        if !self.holds(manifest) {
            self.entries.push(Entry { descriptor, manifest, name: None });
        }
    }

    /// Gives an image of the index a name, taking it from whichever image has it now.
    pub(super) fn name(&mut self, manifest: Digest, name: &Reference) {
        let Some(entry) = self.entries.iter().find(|entry| entry.manifest == manifest) else {
            return;
        };
        let mut descriptor = entry.descriptor.clone();
        let mut annotations = descriptor.annotations().clone().unwrap_or_default();
        annotations.insert(NAME.to_owned(), name.canonical());
        descriptor.set_annotations(Some(annotations));
        self.unname(name);
        self.entries.retain(|entry| entry.manifest != manifest || entry.name.is_some());
        self.entries.push(Entry { descriptor, manifest, name: Some(name.clone()) });
    }

    /// Takes a name away; an image that loses its last name stays, without one.
    pub(super) fn unname(&mut self, name: &Reference) {
        let mut bare = Vec::new();
        for entry in self.entries.extract_if(.., |entry| entry.name.as_ref() == Some(name)) {
            bare.push(entry.without_name());
        }
        for entry in bare {
            if !self.holds(entry.manifest) {
                self.entries.push(entry);
            }
        }
    }

    pub(super) fn remove(&mut self, manifest: Digest) {
        self.entries.retain(|entry| entry.manifest != manifest);
    }
}

impl Entry {
    /// Descriptors that name no sha256 were put here by another tool and mean nothing to naru.
    fn new(descriptor: &Descriptor) -> Option<Self> {
        let manifest = descriptor.digest().to_string().parse().ok()?;
        let name = descriptor.annotations().as_ref().and_then(|annotations| annotations.get(NAME));
        let name = name.and_then(|name| name.parse().ok());
        Some(Self { descriptor: descriptor.clone(), manifest, name })
    }

    fn without_name(mut self) -> Self {
        let mut annotations: HashMap<_, _> =
            self.descriptor.annotations().clone().unwrap_or_default();
        annotations.remove(NAME);
        self.descriptor.set_annotations((!annotations.is_empty()).then_some(annotations));
        self.name = None;
        self
    }
}
