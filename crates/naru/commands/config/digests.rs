//! `naru config --resolve-image-digests` and `--lock-image-digests`: images by their digests.

use naru_compose::project::{Project, Service};
use naru_image::{Reference, Store};

use crate::error::{Blame, CommandError};
use crate::settings::Settings;

/// Pins the image of each service to the digest of the store's image of that name.
///
/// # Errors
/// When an image is not in the store, which is the only place that is looked at.
pub(super) fn pin(project: &mut Project, settings: &Settings) -> Result<(), CommandError> {
    let store = Store::open(&settings.directories.images()).host("open the image store")?;
    for service in project.services.values_mut().filter(|service| !service.image.is_empty()) {
        let image = &service.image;
        let reference: Reference =
            image.parse().asked(format!("use `{image}` as the name of an image"))?;
        service.image = if reference.digest().is_some() {
            reference.canonical()
        } else {
            let found = store.find(image).host(format!("look for the image {image}"))?;
            let found = found.ok_or_else(|| missing(image))?;
            format!("{}@{}", reference.canonical(), found.manifest)
        };
    }
    Ok(())
}

fn missing(image: &str) -> CommandError {
    CommandError::user(format!("cannot find the digest of {image}: it is not in the image store"))
        .hint("registries are not asked yet: load the image with `naru image load`, or write the digest into the file")
}

/// Leaves only the images: an override file that pins them.
pub(super) fn keep_images(project: &mut Project) {
    let image = |(name, service): (String, Service)| {
        (name, Service { image: service.image, ..Service::default() })
    };
    let services = std::mem::take(&mut project.services).into_iter();
    *project = Project { services: services.map(image).collect(), ..Project::default() };
}
