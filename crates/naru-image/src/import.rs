//! A root file system in a tar archive becomes an image of one layer.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::archive;
use crate::config;
use crate::digest::Digest;
use crate::error::Error;
use crate::load::{Loaded, write_manifest};
use crate::progress::{Event, Progress, Reporting};
use crate::reference::Reference;
use crate::store::{Stage, Store, Tee, unpack_into};

mod changes;
mod words;

pub use changes::{ChangeError, Changes};

/// Everything about an imported image that is not in its archive.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// What to call it.
    pub name: Option<Reference>,
    /// How its containers are to be started.
    pub changes: Changes,
    /// A comment to keep with it.
    pub message: Option<String>,
    /// The platform it is for, such as `linux/amd64`; this machine's by default.
    pub platform: Option<String>,
    /// When it was made; now by default.
    pub created: Option<SystemTime>,
}

impl Store {
    /// Takes in a root file system (a tar archive; plain, gzip or zstd) as an image of one layer.
    ///
    /// # Errors
    /// When the archive is not as it has to be; then nothing of it is in the store.
    pub fn import(
        &self,
        archive: impl Read,
        import: &Import,
        progress: &mut Progress<'_>,
    ) -> Result<Loaded, Error> {
        let (os, architecture, variant) = platform(import.platform.as_deref())?;
        let mut stage = Stage::new(self)?;
        let layer = unpack(&mut stage, archive, progress)?;
        let created = timestamp(import.created.unwrap_or_else(SystemTime::now));
        let message = import.message.clone().unwrap_or_else(|| "Imported from -".to_owned());
        let mut document = json!({
            "architecture": architecture,
            "os": os,
            "created": created,
            "comment": message,
            "config": import.changes.to_json(),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            "history": [{"created": created, "comment": message}],
        });
        if let Some(variant) = variant {
            document["variant"] = variant.into();
        }
        let bytes = document.to_string().into_bytes();
        config::parse(&bytes, self.limits())?;
        let id = stage.keep_bytes(&bytes)?;
        let names: Vec<Reference> = import.name.iter().cloned().collect();
        let blob = [(layer.compression, layer.blob, layer.blob_size)];
        let image = write_manifest(&mut stage, (id, bytes.len() as u64), &blob, names)?;
        stage.commit(&[image], progress)?;
        Ok(Loaded { name: import.name.clone(), id })
    }
}

struct Layer {
    diff_id: Digest,
    compression: crate::compression::Compression,
    blob: Digest,
    blob_size: u64,
}

/// Unpacks the archive while it is read, and keeps what was read as the layer's blob.
fn unpack(
    stage: &mut Stage<'_>,
    archive: impl Read,
    progress: &mut Progress<'_>,
) -> Result<Layer, Error> {
    let read = |source| Error::Archive(archive::Error::Read(source));
    let path = stage.new_path();
    let directory = stage.new_path();
    let mut source = BufReader::with_capacity(128 << 10, Reporting::new(archive, progress));
    let start = source.fill_buf().map_err(read)?;
    if start.is_empty() {
        return Err(Error::refused("content", "it is empty"));
    }
    let compression =
        crate::compression::Compression::detect(start).map_err(|error| read(error.into()))?;
    let mut tee = Tee::new(source, &path)?;
    let unpacked = unpack_into(&mut tee, &directory, &[], stage.store().limits())
        .map_err(|source| Error::Layer { number: 1, of: 1, source })?;
    let spooled = tee.finish(path)?;
    progress(Event::Layer { number: 1, of: 1, diff_id: unpacked.diff_id });
    stage.keep(&spooled);
    stage.keep_layer(directory, &unpacked, spooled.digest, progress);
    let (blob, blob_size) = (spooled.digest, spooled.size);
    Ok(Layer { diff_id: unpacked.diff_id, compression, blob, blob_size })
}

fn platform(given: Option<&str>) -> Result<(String, String, Option<String>), Error> {
    let Some(given) = given else {
        return Ok(("linux".to_owned(), config::architecture().to_owned(), None));
    };
    let wrong =
        || Error::Name { name: given.to_owned(), problem: "is no platform such as linux/amd64" };
    let parts: Vec<&str> = given.split('/').collect();
    let word =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match parts[..] {
        _ if !parts.iter().all(word) => Err(wrong()),
        ["linux", architecture] => Ok(("linux".to_owned(), architecture.to_owned(), None)),
        ["linux", architecture, variant] => {
            Ok(("linux".to_owned(), architecture.to_owned(), Some(variant.to_owned())))
        }
        ["linux"] => Ok(("linux".to_owned(), config::architecture().to_owned(), None)),
        _ => Err(wrong()),
    }
}

/// A time in RFC 3339, in UTC and whole seconds.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1970 to a date of the Gregorian calendar, counting years from March so that leap days come last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        let at = |seconds| timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_216_323), "2026-11-20T23:12:03Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59Z");
    }

    #[test]
    fn platforms_are_linux_ones() {
        assert_eq!(platform(Some("linux/arm64/v8")).unwrap().2.as_deref(), Some("v8"));
        for wrong in ["", "windows/amd64", "linux/", "linux/a/b/c", "linux/\n"] {
            assert!(platform(Some(wrong)).is_err(), "{wrong:?}");
        }
    }
}
