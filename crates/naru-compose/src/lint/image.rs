//! What the name of an image says about its content.

/// An image's name in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image<'a> {
    /// The repository without registry and `library/`, such as `postgres` or `bitnami/mongodb`.
    pub(super) repository: &'a str,
    /// The tag; `latest` when there is none.
    pub(super) tag: &'a str,
}

impl<'a> Image<'a> {
    /// The parts of a name.
    pub(super) fn new(name: &'a str) -> Self {
        let name = name.split('@').next().unwrap_or(name);
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (name, "latest"),
        };
        let repository = ["docker.io/", "index.docker.io/"]
            .iter()
            .find_map(|registry| repository.strip_prefix(registry))
            .unwrap_or(repository);
        Self { repository: repository.strip_prefix("library/").unwrap_or(repository), tag }
    }

    /// Whether it is an official image. By their rules these have no health check of their own.
    pub(super) fn is_official(&self) -> bool {
        const NAMES: [&str; 24] = [
            "adminer",
            "alpine",
            "busybox",
            "caddy",
            "debian",
            "elasticsearch",
            "golang",
            "haproxy",
            "httpd",
            "mariadb",
            "memcached",
            "mongo",
            "mysql",
            "nats",
            "nginx",
            "node",
            "php",
            "postgres",
            "python",
            "rabbitmq",
            "redis",
            "ruby",
            "traefik",
            "ubuntu",
        ];
        NAMES.contains(&self.repository)
    }

    /// The first number of the tag; `None` for a tag that names no version, which is the newest one.
    pub(super) fn major(&self) -> Option<u32> {
        let digits = self.tag.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
        digits.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_digests_and_tags_are_taken_apart() {
        let check = |name, repository, tag, major| {
            let image = Image::new(name);
            assert_eq!((image.repository, image.tag, image.major()), (repository, tag, major));
        };
        check("postgres", "postgres", "latest", None);
        check("docker.io/library/postgres:18-alpine", "postgres", "18-alpine", Some(18));
        check("localhost:5000/postgres", "localhost:5000/postgres", "latest", None);
        check("mongo:7.0.2@sha256:abc", "mongo", "7.0.2", Some(7));
        check("postgres:alpine", "postgres", "alpine", None);
    }
}
