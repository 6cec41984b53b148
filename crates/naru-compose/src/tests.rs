//! What the tests of the whole loader share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{LoadRequest, Loaded, Problems};

mod beyond;
mod broken;
mod every;
mod explain;
mod files;
mod fuzz;
mod hostile;
mod lint;
mod meaning;
mod naru;
mod phases;
mod rules;

/// A directory of files that goes away with the test.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    /// A directory with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("naru-compose-{}-{number}", std::process::id());
        let directory = Self(std::env::temp_dir().join(name).join("shop"));
        fs_err::create_dir_all(&directory.0).unwrap();
        for (path, text) in files {
            let path = directory.0.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        directory
    }

    /// A request for the project in it, with these variables.
    pub(crate) fn request(&self, environment: &[(&str, &str)]) -> LoadRequest {
        let pairs =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        LoadRequest {
            working_directory: self.0.clone(),
            environment: pairs.collect::<BTreeMap<_, _>>(),
            ..LoadRequest::default()
        }
    }

    /// The text with the directory's own path left out.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&self.0.to_string_lossy().into_owned(), "/shop")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs_err::remove_dir_all(self.0.parent().unwrap()));
    }
}

/// Loads one file.
pub(crate) fn load_text(yaml: &str) -> Result<Loaded, Problems> {
    let directory = Directory::with(&[("compose.yaml", yaml)]);
    crate::load(&directory.request(&[]))
}
