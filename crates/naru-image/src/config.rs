//! An image's configuration: read leniently where tools differ, refused where it could do harm.

use std::time::Duration;

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::{self, Digest};
use crate::limits::Limits;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is larger than anything a tool writes.
    #[error("the image's configuration is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// It is no JSON document of this kind.
    #[error("the image's configuration cannot be read")]
    Json(#[source] serde_json::Error),
    /// A layer's digest in it is malformed.
    #[error("the image's configuration lists a layer with a malformed digest")]
    Layer(#[source] digest::Error),
    /// It has more layers than can be mounted.
    #[error("the image has {found} layers, more than the {max} that can be mounted")]
    TooManyLayers {
        /// How many it has.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A field has a value that no process could be started with.
    #[error("the image's configuration has an unusable {field}: {problem}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// A health check that an image brings along (an extension by Docker).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", …]`; empty inherits.
    pub test: Vec<String>,
    /// Time between two probes.
    pub interval: Option<Duration>,
    /// Time one probe may take.
    pub timeout: Option<Duration>,
    /// Time after the start in which failures do not count.
    pub start_period: Option<Duration>,
    /// Time between two probes during the start period.
    pub start_interval: Option<Duration>,
    /// Failures in a row that make the container unhealthy.
    pub retries: Option<u32>,
}

/// A configuration and what Docker adds to it.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(crate) configuration: ImageConfiguration,
    pub(crate) healthcheck: Option<Healthcheck>,
    pub(crate) shell: Option<Vec<String>>,
    pub(crate) diff_ids: Vec<Digest>,
}

/// Parses the bytes of a configuration blob.
pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Parsed, Error> {
    if bytes.len() as u64 > limits.max_metadata {
        return Err(Error::TooLarge { max: limits.max_metadata });
    }
    let mut document: Map<String, Value> = serde_json::from_slice(bytes).map_err(Error::Json)?;
    normalise(&mut document);
    let extras = extras(&document)?;
    let configuration: ImageConfiguration =
        serde_json::from_value(Value::Object(document)).map_err(Error::Json)?;
    check_strings(&configuration)?;
    let listed = configuration.rootfs().diff_ids();
    if listed.len() > limits.max_layers {
        return Err(Error::TooManyLayers { found: listed.len(), max: limits.max_layers });
    }
    let diff_ids: Result<_, _> = listed.iter().map(|text| text.parse()).collect();
    Ok(Parsed {
        diff_ids: diff_ids.map_err(Error::Layer)?,
        healthcheck: extras.healthcheck.map(healthcheck).transpose()?,
        shell: extras.shell,
        configuration,
    })
}

/// Evens out what tools write differently for the same thing: nulls for absent fields, any value for the members of
/// a set, and no platform in old images.
fn normalise(document: &mut Map<String, Value>) {
    document.retain(|_, value| !value.is_null());
    for (key, default) in [("architecture", architecture()), ("os", "linux")] {
        let given = document.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !given {
            document.insert(key.to_owned(), default.into());
        }
    }
    if let Some(Value::Object(config)) = document.get_mut("config") {
        config.retain(|_, value| !value.is_null());
        for key in ["ExposedPorts", "Volumes"] {
            if let Some(Value::Object(members)) = config.get_mut(key) {
                members.values_mut().for_each(|value| *value = Value::Object(Map::new()));
            }
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Extras {
    healthcheck: Option<RawHealthcheck>,
    shell: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawHealthcheck {
    test: Option<Vec<String>>,
    interval: i64,
    timeout: i64,
    start_period: i64,
    start_interval: i64,
    retries: i64,
}

fn extras(document: &Map<String, Value>) -> Result<Extras, Error> {
    match document.get("config") {
        Some(config @ Value::Object(_)) => Extras::deserialize(config).map_err(Error::Json),
        _ => Ok(Extras::default()),
    }
}

fn healthcheck(raw: RawHealthcheck) -> Result<Healthcheck, Error> {
    let duration = |nanoseconds: i64| match u64::try_from(nanoseconds) {
        Ok(0) => Ok(None),
        Ok(nanoseconds) => Ok(Some(Duration::from_nanos(nanoseconds))),
        Err(_) => Err(Error::Field { field: "Healthcheck", problem: "a time is negative" }),
    };
    let retries = u32::try_from(raw.retries)
        .map_err(|_| Error::Field { field: "Healthcheck", problem: "Retries is out of range" })?;
    Ok(Healthcheck {
        test: raw.test.unwrap_or_default(),
        interval: duration(raw.interval)?,
        timeout: duration(raw.timeout)?,
        start_period: duration(raw.start_period)?,
        start_interval: duration(raw.start_interval)?,
        retries: (retries > 0).then_some(retries),
    })
}

/// Strings that go to the kernel end at the first zero byte there, so none may contain one.
fn check_strings(configuration: &ImageConfiguration) -> Result<(), Error> {
    let Some(config) = configuration.config() else { return Ok(()) };
    let lists = [
        ("Env", config.env()),
        ("Cmd", config.cmd()),
        ("Entrypoint", config.entrypoint()),
        ("Volumes", config.volumes()),
        ("ExposedPorts", config.exposed_ports()),
    ];
    let single = [
        ("User", config.user()),
        ("WorkingDir", config.working_dir()),
        ("StopSignal", config.stop_signal()),
    ];
    let listed =
        lists.iter().flat_map(|(field, list)| list.iter().flatten().map(|text| (*field, text)));
    let single = single.iter().filter_map(|(field, text)| text.as_ref().map(|text| (*field, text)));
    for (field, text) in listed.chain(single) {
        if text.contains('\0') {
            return Err(Error::Field { field, problem: "it contains a zero byte" });
        }
    }
    Ok(())
}

/// This machine's architecture in the words of image configurations.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Whether programs for this platform can be run here; a 64-bit x86 kernel also runs 32-bit programs.
pub(crate) fn runs_here(os: &str, found: &str) -> bool {
    let here = architecture();
    os == "linux" && (found == here || (here == "amd64" && found == "386"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Parsed, Error> {
        parse(json.as_bytes(), &Limits::default())
    }

    #[test]
    fn what_docker_writes_is_read_with_its_extensions() {
        let parsed = check(
            r#"{"architecture":"amd64","os":"linux","config":{"User":"","Env":null,"Cmd":["sh"],"Entrypoint":null,
            "Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":null},"StopSignal":"SIGQUIT","Labels":{"a":"b"},
            "Healthcheck":{"Test":["CMD","true"],"Interval":5000000000,"Retries":3},"Shell":["/bin/bash","-c"]},
            "rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x","unknown":1}],"container":"zzz"}"#,
        )
        .unwrap();
        let config = parsed.configuration.config().as_ref().unwrap();
        assert_eq!(config.volumes().as_deref(), Some(&["/data".to_owned()][..]));
        assert_eq!(config.exposed_ports().as_deref(), Some(&["80/tcp".to_owned()][..]));
        assert_eq!(config.stop_signal().as_deref(), Some("SIGQUIT"));
        assert_eq!(config.env(), &None);
        let health = parsed.healthcheck.unwrap();
        assert_eq!(health.interval, Some(Duration::from_secs(5)));
        assert_eq!((health.timeout, health.retries), (None, Some(3)));
        assert_eq!(parsed.shell.unwrap(), ["/bin/bash", "-c"]);
    }

    #[test]
    fn an_old_image_without_a_platform_is_taken_for_this_machines() {
        let parsed = check(r#"{"config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#).unwrap();
        assert_eq!(parsed.configuration.architecture().to_string(), architecture());
    }

    #[test]
    fn hostile_configurations_are_refused() {
        let digest = r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}}"#;
        let zero = r#"{"config":{"Env":["A=\u0000"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let negative = r#"{"config":{"Healthcheck":{"Interval":-1}},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let large = format!(r#"{{"comment":"{}"}}"#, "x".repeat(5 << 20));
        for json in ["", "[]", "null", "{}", digest, zero, negative, &deep, &large] {
            assert!(check(json).is_err());
        }
    }

    #[test]
    fn many_labels_are_no_problem() {
        let labels: Vec<String> = (0..100_000).map(|n| format!(r#""l{n}":"v""#)).collect();
        let json = format!(
            r#"{{"config":{{"Labels":{{{}}}}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#,
            labels.join(",")
        );
        assert_eq!(check(&json).unwrap().configuration.labels_of_config().unwrap().len(), 100_000);
    }
}
