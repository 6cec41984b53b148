//! Traps of health checks and of those that wait for them.

use super::Linter;
use super::image::Image;
use crate::problem::Code;
use crate::project::{READY, Service};

impl Linter<'_> {
    /// Health checks that come too early, and those that are not there.
    pub(super) fn health(&mut self, name: &str, service: &Service) {
        let Some(first) = self.waiting.get(name).copied() else { return };
        if service.extensions.contains_key(READY) {
            return;
        }
        match &service.healthcheck {
            Some(check) if !check.test.is_empty() => self.pg_isready(name, service, first),
            _ => self.no_check(name, service, first),
        }
    }

    /// While the image of Postgres initializes a fresh volume, its server listens on a Unix socket only,
    /// and `pg_isready` without a host asks there.
    fn pg_isready(&mut self, name: &str, service: &Service, waiting: &str) {
        let Some(check) = &service.healthcheck else { return };
        let command = check.test.join(" ");
        if !command.contains("pg_isready") || names_host(&command) {
            return;
        }
        if service.environment.contains_key("PGHOST") || command.contains("PGHOST") {
            return;
        }
        let message = format!(
            "`pg_isready` without a host succeeds before the database takes connections: `{waiting}` starts too early"
        );
        let hint = "while a fresh volume is initialized the server only listens on its socket; write `pg_isready -h 127.0.0.1 …`";
        self.warn(Code::PG_ISREADY_HOST, (name, &["healthcheck", "test"]), message).hint(hint);
    }

    fn no_check(&mut self, name: &str, service: &Service, waiting: &str) {
        let image = Image::new(&service.image);
        if service.build.is_some() || !image.is_official() {
            return;
        }
        let message = format!(
            "`{waiting}` waits until `{name}` is healthy, and neither the service nor the image {} has a health check",
            image.repository
        );
        let hint = match image.repository {
            "postgres" => {
                "add `healthcheck: {test: [\"CMD\", \"pg_isready\", \"-h\", \"127.0.0.1\"]}`"
            }
            "mongo" => {
                "add `healthcheck: {test: [\"CMD\", \"mongosh\", \"--quiet\", \"--eval\", \"db.adminCommand('ping')\"]}`"
            }
            "redis" => "add `healthcheck: {test: [\"CMD\", \"redis-cli\", \"ping\"]}`",
            "mysql" => {
                "add `healthcheck: {test: [\"CMD\", \"mysqladmin\", \"ping\", \"-h\", \"127.0.0.1\"]}`"
            }
            "mariadb" => {
                "add `healthcheck: {test: [\"CMD\", \"healthcheck.sh\", \"--connect\", \"--innodb_initialized\"]}`"
            }
            "rabbitmq" => {
                "add `healthcheck: {test: [\"CMD\", \"rabbitmq-diagnostics\", \"ping\"]}`"
            }
            _ => "add a `healthcheck`, or wait for `service_started`",
        };
        self.warn(Code::HEALTHY_WITHOUT_CHECK, (name, &[]), message).hint(hint);
    }
}

/// Whether a command line of `pg_isready` says which host it asks.
fn names_host(command: &str) -> bool {
    let words = command.split(|c: char| c.is_whitespace() || "'\"".contains(c));
    let after = words.skip_while(|word| !word.ends_with("pg_isready")).skip(1);
    let mut after = after.take_while(|word| !matches!(*word, "&&" | "||" | ";" | "|"));
    after.any(|word| {
        word.starts_with("-h")
            || word.starts_with("--host")
            || word.contains("host=")
            || word.contains("://")
    })
}

#[cfg(test)]
mod tests {
    use super::names_host;

    #[test]
    fn a_host_is_found_in_every_form() {
        for command in [
            "CMD pg_isready -h 127.0.0.1",
            "CMD-SHELL pg_isready -U x -hlocalhost",
            "CMD-SHELL pg_isready --host=db",
            "CMD-SHELL pg_isready -d 'host=db dbname=x'",
            "CMD-SHELL /usr/bin/pg_isready -d postgres://localhost/x",
        ] {
            assert!(names_host(command), "{command}");
        }
        for command in ["CMD pg_isready", "CMD-SHELL pg_isready -U x && psql -h db"] {
            assert!(!names_host(command), "{command}");
        }
    }
}
