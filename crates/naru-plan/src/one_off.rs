//! What `run` makes of a service: the one container that it is about, and no replica.

use std::collections::BTreeMap;

use naru_compose::project::{Healthcheck, Hook, Mount, Port, Service};

/// What the user wants otherwise than the file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// The command; the file's when empty.
    pub command: Vec<String>,
    /// The entrypoint; it drops the file's command.
    pub entrypoint: Option<Vec<String>>,
    /// Variables; those without a value are taken away.
    pub environment: BTreeMap<String, Option<String>>,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// User and group.
    pub user: Option<String>,
    /// Directory to start in.
    pub directory: Option<String>,
    /// Further mounts; one in the place of the file's takes that.
    pub volumes: Vec<Mount>,
    /// Ports; absent for the service's own.
    pub ports: Option<Vec<Port>>,
    /// Capabilities to add; the file may take them away.
    pub cap_add: Vec<String>,
    /// Capabilities to take away; the file may add them.
    pub cap_drop: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it has an input.
    pub stdin_open: bool,
}

/// The service as it is for a one-off container: overridden, not restarted, one of it, under no fixed name.
#[must_use]
pub fn one_off(service: &Service, overrides: &Overrides) -> Service {
    let mut own = service.clone();
    own.restart = None;
    if let Some(deploy) = &mut own.deploy {
        deploy.restart_policy = None;
        deploy.replicas = None;
    }
    own.scale = None;
    // Its output is read from its log.
    own.logging = None;
    own.container_name.clear();
    own.tty = overrides.tty;
    own.stdin_open = overrides.stdin_open;
    if let Some(entrypoint) = &overrides.entrypoint {
        own.entrypoint = Some(entrypoint.clone());
        own.command = Some(Vec::new());
    }
    if !overrides.command.is_empty() {
        own.command = Some(overrides.command.clone());
    }
    own.environment.extend(overrides.environment.clone());
    own.labels.extend(overrides.labels.clone());
    if let Some(user) = &overrides.user {
        own.user.clone_from(user);
    }
    if let Some(directory) = &overrides.directory {
        own.working_dir.clone_from(directory);
    }
    if let Some(ports) = &overrides.ports {
        own.ports.clone_from(ports);
    }
    for mount in &overrides.volumes {
        own.volumes.retain(|known| known.target != mount.target);
        own.volumes.push(mount.clone());
    }
    move_capabilities(&overrides.cap_add, &mut own.cap_add, &mut own.cap_drop);
    move_capabilities(&overrides.cap_drop, &mut own.cap_drop, &mut own.cap_add);
    own
}

/// The service as it is for the container of its `pre_start` hook: the hook's command, image, user, directory and
/// variables over its own. What replicas alone may have, it has not: ports, fixed names and addresses, health checks.
#[must_use]
pub fn pre_start(service: &Service, hook: &Hook) -> Service {
    let mut own = one_off(service, &Overrides { ports: Some(Vec::new()), ..Overrides::default() });
    own.command.clone_from(&hook.command);
    own.environment.extend(hook.environment.clone());
    for (wanted, place) in [
        (&hook.image, &mut own.image),
        (&hook.user, &mut own.user),
        (&hook.working_dir, &mut own.working_dir),
    ] {
        if !wanted.is_empty() {
            place.clone_from(wanted);
        }
    }
    for attachment in own.networks.values_mut().flatten() {
        attachment.ipv4_address.clear();
        attachment.ipv6_address.clear();
        attachment.mac_address.clear();
    }
    own.healthcheck = Some(Healthcheck { disable: true, ..Healthcheck::default() });
    own.post_start.clear();
    own.pre_stop.clear();
    own.pre_start.clear();
    own
}

/// Adds capabilities to one list and takes them from the other.
fn move_capabilities(wanted: &[String], to: &mut Vec<String>, from: &mut Vec<String>) {
    let plain = |name: &str| name.to_ascii_uppercase().trim_start_matches("CAP_").to_owned();
    for name in wanted {
        from.retain(|known| plain(known) != plain(name));
        to.push(name.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> Service {
        let text = json!({
            "image": "i", "command": ["serve"], "entrypoint": ["/start"], "restart": "always",
            "container_name": "fixed", "scale": 3, "environment": {"A": "1", "B": "2"},
            "deploy": {"restart_policy": {"condition": "any"}},
            "ports": [{"target": 80, "protocol": "tcp"}], "cap_drop": ["ALL", "CAP_CHOWN"],
            "volumes": [{"type": "volume", "source": "data", "target": "/data"}]
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn it_is_not_restarted_has_no_fixed_name_and_publishes_what_it_is_told_to() {
        let plain =
            one_off(&service(), &Overrides { ports: Some(Vec::new()), ..Overrides::default() });
        assert_eq!(crate::restart::Policy::of(&plain).unwrap().when, crate::restart::When::Never);
        assert_eq!((plain.container_name.as_str(), plain.replicas()), ("", 1));
        assert_eq!(plain.ports, []);
        assert_eq!(plain.command, Some(vec!["serve".to_owned()]));
        assert_eq!(one_off(&service(), &Overrides::default()).ports.len(), 1);
    }

    #[test]
    fn an_entrypoint_drops_the_command_and_a_command_alone_keeps_the_entrypoint() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let entrypoint = Overrides { entrypoint: Some(words("sh -x")), ..Overrides::default() };
        let own = one_off(&service(), &entrypoint);
        assert_eq!((own.entrypoint, own.command), (Some(words("sh -x")), Some(Vec::new())));
        let command = Overrides { command: words("ls -l"), ..Overrides::default() };
        let own = one_off(&service(), &command);
        assert_eq!((own.entrypoint, own.command), (Some(words("/start")), Some(words("ls -l"))));
    }

    #[test]
    fn a_hook_has_its_services_environment_and_nothing_that_only_replicas_may_have() {
        let mut web = service();
        web.networks.insert(
            "n".into(),
            serde_json::from_value(json!({"ipv4_address": "10.0.0.9"})).unwrap(),
        );
        let hook = serde_json::from_value(json!({
            "command": ["migrate"], "image": "tools", "environment": {"B": "3"}
        }));
        let own = pre_start(&web, &hook.unwrap());
        assert_eq!((own.image.as_str(), own.command), ("tools", Some(vec!["migrate".to_owned()])));
        assert_eq!(own.environment["A"].as_deref(), Some("1"));
        assert_eq!(own.environment["B"].as_deref(), Some("3"));
        assert!(own.ports.is_empty() && own.healthcheck.is_some_and(|check| check.disable));
        assert_eq!(own.networks["n"].as_ref().unwrap().ipv4_address, "");
        assert_eq!(own.volumes, web.volumes);
    }

    #[test]
    fn variables_mounts_and_capabilities_win_over_the_files() {
        let overrides = Overrides {
            environment: [("B".to_owned(), Some("3".to_owned())), ("A".to_owned(), None)].into(),
            volumes: vec![Mount {
                source: "/src".into(),
                target: "/data".into(),
                ..Mount::default()
            }],
            cap_add: vec!["chown".into()],
            ..Overrides::default()
        };
        let own = one_off(&service(), &overrides);
        assert_eq!((&own.environment["A"], &own.environment["B"]), (&None, &Some("3".to_owned())));
        assert_eq!((own.volumes.len(), own.volumes[0].source.as_str()), (1, "/src"));
        assert_eq!((own.cap_add, own.cap_drop), (vec!["chown".to_owned()], vec!["ALL".to_owned()]));
    }
}
