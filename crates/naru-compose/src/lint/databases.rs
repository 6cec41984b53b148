//! Traps of the images of Postgres and MongoDB.

use super::Linter;
use super::image::Image;
use crate::problem::Code;
use crate::project::{MountKind, Service};

/// Where images of Postgres before version 18 keep their data.
const OLD_DATA: &str = "/var/lib/postgresql/data";

/// What images of Postgres from version 18 on keep their data below.
const NEW_DATA: &str = "/var/lib/postgresql";

impl Linter<'_> {
    /// From version 18 on the data is in a directory of the version below `/var/lib/postgresql`.
    pub(super) fn postgres(&mut self, name: &str, service: &Service) {
        let image = Image::new(&service.image);
        let official = ["postgres", "postgis/postgis", "pgvector/pgvector"];
        // Other images put a prefix before the version: `pgvector/pgvector:pg17`.
        let major = image.tag.strip_prefix("pg").map_or(image.major(), |tag| tag.parse().ok());
        if !official.contains(&image.repository)
            || service.build.is_some()
            || service.environment.contains_key("PGDATA")
        {
            return;
        }
        let is_new = major.is_none_or(|major| major >= 18);
        let mounted = |target: &str| {
            let keeps = |kind| matches!(kind, MountKind::Volume | MountKind::Bind);
            service.volumes.iter().position(|it| it.target == target && keeps(it.kind))
        };
        let version = major.map_or_else(
            || format!("`{}` is version 18 or later, which", service.image),
            |major| format!("Postgres {major}"),
        );
        let (index, message, hint) = match (is_new, mounted(OLD_DATA), mounted(NEW_DATA)) {
            (true, Some(index), None) => (
                index,
                format!(
                    "{version} does not keep its data in {OLD_DATA}, and refuses to start or loses it"
                ),
                format!("mount {NEW_DATA}, or name an older version such as `postgres:17`"),
            ),
            (false, None, Some(index)) => (
                index,
                format!("{version} keeps its data in {OLD_DATA}, which is not on this volume"),
                format!("mount {OLD_DATA}: only version 18 and later use {NEW_DATA}"),
            ),
            _ => return,
        };
        let index = index.to_string();
        let way = (name, ["volumes", index.as_str()]);
        self.warn(Code::POSTGRES_VOLUME, (way.0, &way.1), message).hint(hint);
    }

    /// A replica set has to be initiated, with a name for its member that others can resolve, and with
    /// a key when there are users.
    pub(super) fn mongo(&mut self, name: &str, service: &Service) {
        let command = service.command.clone().unwrap_or_default();
        let line = command.join(" ");
        if !["mongo", "mongodb/mongodb-community-server"]
            .contains(&Image::new(&service.image).repository)
            || !line.contains("--replSet")
        {
            return;
        }
        let root = service.environment.get("MONGO_INITDB_ROOT_USERNAME");
        let has_root = root.and_then(Option::as_deref).is_some_and(|user| !user.is_empty());
        if has_root
            && !line.contains("--keyFile")
            && !line.contains("--config")
            && !line.contains("-f ")
        {
            let message = "with a root user a replica set needs a key file: mongod will not start";
            let hint = "add `--keyFile /run/secrets/KEY` with a secret of mode 0400 owned by mongodb, or leave MONGO_INITDB_ROOT_USERNAME out";
            let way: &[&str] = &["command"];
            self.warn(Code::MONGO_KEY_FILE, (name, way), message.to_owned()).hint(hint);
        }
        self.initiation(name, service);
    }

    fn initiation(&mut self, name: &str, service: &Service) {
        let (mut initiated, mut scripts) = (false, false);
        for other in self.project.services.values() {
            let text = words(other);
            initiated |= text.contains("rs.initiate") || text.contains("replSetInitiate");
            scripts |= other.volumes.iter().any(|mount| {
                mount.kind == MountKind::Bind && mount.source.ends_with(".js")
                    || mount.source.ends_with(".sh")
                    || mount.target.starts_with("/docker-entrypoint-initdb.d")
            });
            scripts |= other.build.is_some() && text.contains("mongo");
            scripts |= other
                .configs
                .iter()
                .any(|config| config.target.ends_with(".js") || config.target.ends_with(".sh"));
        }
        if !initiated && !scripts {
            let message =
                format!("nothing initiates the replica set of `{name}`: it takes no writes");
            let hint = format!(
                "add `healthcheck: {{test: [\"CMD\", \"mongosh\", \"--quiet\", \"--eval\", \"try {{ rs.status().ok }} catch (e) {{ rs.initiate({{_id: 'rs0', members: [{{_id: 0, host: '{name}:27017'}}]}}).ok }}\"]}}`"
            );
            self.warn(Code::MONGO_INITIATE, (name, &["command"]), message).hint(hint);
        }
        let text = words(service);
        let Some((_, call)) = text.split_once("rs.initiate(") else { return };
        let call = call.trim_start();
        let local = ["localhost", "127.0.0.1"].iter().any(|host| {
            ["host: '", "host:'", "host: \"", "host:\"", "\"host\":\"", "\"host\": \"", "'host': '"]
                .iter()
                .any(|before| call.contains(&format!("{before}{host}")))
        });
        let unnamed = call.starts_with(')') && service.hostname.is_empty();
        if !local && !unnamed {
            return;
        }
        let member = if local { "localhost" } else { "the container's own id" };
        let message = format!(
            "the member of the replica set is called {member}: clients in other containers cannot reach it"
        );
        let hint = format!("call it what they call it: `host: '{name}:27017'`");
        let way: &[&str] = match service.healthcheck {
            Some(_) => &["healthcheck", "test"],
            None => &["command"],
        };
        self.warn(Code::MONGO_MEMBER_HOST, (name, way), message).hint(hint);
    }
}

/// Every command of a service in one text.
fn words(service: &Service) -> String {
    let lists = [service.command.as_deref(), service.entrypoint.as_deref()];
    let mut words: Vec<&str> = lists.into_iter().flatten().flatten().map(String::as_str).collect();
    words.extend(service.healthcheck.iter().flat_map(|check| &check.test).map(String::as_str));
    words.extend(
        service
            .post_start
            .iter()
            .flat_map(|hook| hook.command.iter().flatten())
            .map(String::as_str),
    );
    words.join(" ")
}
