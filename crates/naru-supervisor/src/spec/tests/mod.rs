//! Services in, specifications out.

mod files;
mod limits;
mod mounts;
mod process;
mod refusals;

use naru_compose::project::Service;
use naru_image::{Healthcheck, rootfs::User};
use oci_spec::image::Config;
use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::{Error, Image, Inputs, Prepared, Shared, build};

/// What a test varies; everything else is an image with one command and root as its user.
struct Case {
    service: Service,
    config: Config,
    healthcheck: Option<Healthcheck>,
    user: User,
    prepared: Prepared,
    shared: Shared,
}

impl Case {
    fn new(service: Value) -> Self {
        Self::with_image(service, json!({"Cmd": ["serve"]}))
    }

    fn with_image(service: Value, config: Value) -> Self {
        Self {
            service: serde_json::from_value(service).unwrap(),
            config: serde_json::from_value(config).unwrap(),
            healthcheck: None,
            user: User {
                uid: 0,
                gid: 0,
                additional_gids: vec![0],
                home: "/root".to_owned(),
                name: Some("root".to_owned()),
            },
            prepared: Prepared::default(),
            shared: Shared::default(),
        }
    }

    fn image(&self) -> Image<'_> {
        Image { config: Some(&self.config), healthcheck: self.healthcheck.as_ref(), shell: None }
    }

    fn build(&self) -> Result<Spec, Error> {
        let image = self.image();
        build(&Inputs {
            service: &self.service,
            image: &image,
            user: &self.user,
            hostname: super::hostname(&self.service, "0123456789abcdef"),
            prepared: &self.prepared,
            shared: &self.shared,
        })
    }

    /// A part of the specification as JSON, by a pointer such as `/process/args`.
    #[track_caller]
    fn part(&self, pointer: &str) -> Value {
        let spec = serde_json::to_value(self.build().unwrap()).unwrap();
        spec.pointer(pointer).cloned().unwrap_or(Value::Null)
    }
}

/// A part of the specification of a service.
#[track_caller]
fn part(service: Value, pointer: &str) -> Value {
    Case::new(service).part(pointer)
}

/// The attribute and the text of a service's error.
#[track_caller]
fn error(service: Value) -> (String, String) {
    let error = Case::new(service).build().unwrap_err();
    (error.attribute().to_owned(), error.to_string())
}
