//! Image names as people write them, and the one form they all mean.
//!
//! `busybox`, `docker.io/busybox` and `index.docker.io/library/busybox:latest` are the same image. A name is
//! normalised once, when it is parsed; afterwards it compares as data and prints in the short form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{self, Digest};

const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_DOMAIN_ALIAS: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Bytes of domain and path together, as in Docker.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A normalised image name: where it lives, what it is called, and which version of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not an image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was given.
    #[error("an image name cannot be empty")]
    Empty,
    /// A character stands where none of its kind may stand.
    #[error("{text:?} is not an image name: {problem}")]
    Malformed {
        /// The text as it was given, shortened.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The part behind `@` is not a digest.
    #[error("{text:?} is not an image name")]
    Digest {
        /// The text as it was given, shortened.
        text: String,
        /// What is wrong with the digest.
        source: digest::Error,
    },
}

impl Reference {
    /// The registry's host, such as `docker.io`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry, such as `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; `latest` unless the name said otherwise or has only a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest that is meant, if the name pins one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The full form, `docker.io/library/busybox:latest`: what the store writes down.
    pub fn canonical(&self) -> String {
        format!("{}/{}{}", self.domain, self.path, self.version())
    }

    /// The short form without tag and digest, as listings show it in the repository column.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return format!("{}/{}", self.domain, self.path);
        }
        match self.path.strip_prefix(OFFICIAL) {
            // `library/a/b` shortened to `a/b` would mean another repository.
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => self.path.clone(),
        }
    }

    fn version(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.familiar_name(), self.version())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        let (rest, digest) = split_digest(text)?;
        let (name, tag) = split_tag(rest);
        let (domain, path) = split_domain(name);
        let malformed = |problem| Err(Error::Malformed { text: shorten(text), problem });
        if domain.len() + 1 + path.len() > MAX_NAME {
            return malformed("it is longer than 255 characters");
        }
        if !is_domain(&domain) {
            return malformed("the part before the first / is not a registry's host name");
        }
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return malformed("repository names are written in lower case");
        }
        if !path.split('/').all(is_component) {
            return malformed(
                "a repository name is made of a-z, 0-9 and single . _ - between them",
            );
        }
        if is_identifier(name) {
            return malformed("64 hexadecimal digits are an image id, not a name");
        }
        if !tag.is_none_or(is_tag) {
            return malformed(
                "a tag is made of at most 128 letters, digits, _ . -, and starts with none of . -",
            );
        }
        let tag = tag.map(str::to_owned);
        let tag = tag.or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        Ok(Self { domain, path, tag, digest })
    }
}

fn split_digest(text: &str) -> Result<(&str, Option<Digest>), Error> {
    let Some((rest, digest)) = text.split_once('@') else { return Ok((text, None)) };
    let digest = digest.parse().map_err(|source| Error::Digest { text: shorten(text), source })?;
    Ok((rest, Some(digest)))
}

/// A colon begins a tag only behind the last slash: before it, it begins a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[last..].split_once(':') {
        Some((name, tag)) => (&text[..last + name.len()], Some(tag)),
        None => (text, None),
    }
}

fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, name),
    };
    let domain = if domain == DEFAULT_DOMAIN_ALIAS { DEFAULT_DOMAIN } else { domain };
    if domain == DEFAULT_DOMAIN && !path.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL}{path}"));
    }
    (domain.to_owned(), path.to_owned())
}

fn looks_like_host(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => return address.parse::<std::net::Ipv6Addr>().is_ok(),
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            ("ipv6", port.strip_prefix(':'))
        }
        Some(_) => return false,
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    let label = |label: &str| {
        label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
            && !label.is_empty()
    };
    host.split('.').all(label)
        && port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        })
}

/// Letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    alphanumeric(*first)
        && alphanumeric(*last)
        && bytes
            .split(|byte| alphanumeric(*byte))
            .all(|between| matches!(between, b"" | b"." | b"_" | b"__") || is_dashes(between))
}

fn is_dashes(between: &[u8]) -> bool {
    between.iter().all(|byte| *byte == b'-')
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_identifier(name: &str) -> bool {
    Digest::from_hex(name).is_ok()
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn check(text: &str, canonical: &str, familiar: &str) {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.canonical(), canonical, "{text}");
        assert_eq!(reference.to_string(), familiar, "{text}");
        assert_eq!(canonical.parse::<Reference>().unwrap(), reference, "{text}");
        assert_eq!(familiar.parse::<Reference>().unwrap(), reference, "{text}");
    }

    #[test]
    fn familiar_names_mean_docker_hub() {
        check("busybox", "docker.io/library/busybox:latest", "busybox:latest");
        check("docker.io/busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36");
        check(
            "index.docker.io/library/busybox",
            "docker.io/library/busybox:latest",
            "busybox:latest",
        );
        check("bitnami/kafka:3", "docker.io/bitnami/kafka:3", "bitnami/kafka:3");
        check("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest");
        check("nest-api:dev", "docker.io/library/nest-api:dev", "nest-api:dev");
    }

    #[test]
    fn a_first_part_with_a_dot_a_port_or_capitals_is_a_host() {
        check("quay.io/app", "quay.io/app:latest", "quay.io/app:latest");
        check("localhost/app", "localhost/app:latest", "localhost/app:latest");
        check("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1");
        check("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest");
        check("Host/app", "Host/app:latest", "Host/app:latest");
    }

    #[test]
    fn a_digest_alone_has_no_tag_and_both_are_kept_together() {
        check(
            &format!("busybox@{DIGEST}"),
            &format!("docker.io/library/busybox@{DIGEST}"),
            &format!("busybox@{DIGEST}"),
        );
        check(
            &format!("busybox:1.36@{DIGEST}"),
            &format!("docker.io/library/busybox:1.36@{DIGEST}"),
            &format!("busybox:1.36@{DIGEST}"),
        );
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "a/".repeat(200);
        let tag = format!("app:{}", "t".repeat(129));
        let id = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let texts = [
            "",
            "/",
            ":",
            "@",
            ":tag",
            "a//b",
            "/abs",
            "../x",
            "a/../b",
            "a/./b",
            "a b",
            "a\nb",
            "a\0b",
            "a/b/",
            "Upper",
            "a_-b",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "app:",
            "app:.t",
            "app:-t",
            "app:a/b",
            "app@",
            "app@sha256:x",
            "app@md5:d41d8cd98f00b204e9800998ecf8427e",
            "app@@",
            "host:99999/app",
            "host:/app",
            "-h.x/app",
            "h..x/app",
            "[::zz]/app",
            "[::1/app",
            "é",
            "app:\u{202e}",
            "https://host.example/app",
            &long,
            &tag,
            id,
        ];
        for text in texts {
            assert!(text.parse::<Reference>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn errors_name_the_text_and_the_rule() {
        let error = "My/App:1".parse::<Reference>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"My/App:1\" is not an image name: repository names are written in lower case"
        );
    }
}
