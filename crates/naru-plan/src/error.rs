//! Why there is no plan.

/// A project that cannot be planned for; nothing has been changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Services wait for each other in a circle.
    #[error("dependency cycle detected: {}", path.join(" -> "))]
    Cycle {
        /// The circle, beginning and ending with the alphabetically first service on it.
        path: Vec<String>,
    },
    /// A service that was asked for is not in the project.
    #[error("no such service: {name}")]
    NoSuchService {
        /// The name that was asked for.
        name: String,
    },
    /// A service that was asked for is known, but nothing was ever made of it.
    #[error("service \"{name}\" has no container to start")]
    NoContainer {
        /// The service.
        name: String,
    },
    /// A service has `pre_start` hooks, and no container for each, which `up` and `create` make.
    #[error(
        "service \"{service}\" has pre_start hooks to run before it starts, and no containers for them are left"
    )]
    HooksBefore {
        /// The service.
        service: String,
    },
    /// A service waits for one that is not in the project.
    #[error("service \"{service}\" depends on undefined service \"{dependency}\"")]
    UndefinedDependency {
        /// The service that waits.
        service: String,
        /// What it waits for.
        dependency: String,
    },
    /// A service waits for the health of one that has no health check.
    #[error(
        "dependency failed to start: service \"{service}\" waits for \"{dependency}\" to be healthy, but it has no healthcheck configured"
    )]
    NoHealthcheck {
        /// The service that waits.
        service: String,
        /// What it waits for.
        dependency: String,
    },
    /// More than one replica of a service with a fixed name.
    #[error(
        "service \"{service}\" has the container_name \"{name}\", so it cannot be scaled to {scale}"
    )]
    ScaledFixedName {
        /// The service.
        service: String,
        /// Its fixed name.
        name: String,
        /// How many replicas were asked for.
        scale: u32,
    },
    /// More replicas than anybody can mean.
    #[error("service \"{service}\" cannot be scaled to {scale}: {most} replicas is the most")]
    TooManyReplicas {
        /// The service.
        service: String,
        /// How many replicas were asked for.
        scale: u32,
        /// How many there can be.
        most: u32,
    },
    /// An external network is not there.
    #[error("network {name} declared as external, but could not be found")]
    ExternalNetworkMissing {
        /// The full name.
        name: String,
    },
    /// An external volume is not there.
    #[error("external volume \"{name}\" not found")]
    ExternalVolumeMissing {
        /// The full name.
        name: String,
    },
    /// A restart policy that Compose does not know.
    #[error("service \"{service}\" has the unknown restart policy \"{policy}\"")]
    RestartPolicy {
        /// The service.
        service: String,
        /// Its policy, as written.
        policy: String,
    },
    /// What `x-naru-restart` says makes no sense.
    #[error("service \"{service}\" cannot be restarted as x-naru-restart says")]
    RestartRules {
        /// The service.
        service: String,
        /// What is wrong with it.
        source: naru_compose::project::ExtensionError,
    },
}
