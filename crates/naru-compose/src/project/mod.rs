//! The canonical project: what a set of Compose files means once every short form, default and
//! relative path is resolved. Serialized, it has the shape of `docker compose config --format json`;
//! an attribute that is empty there is left out here as well.

mod attachment;
mod build;
mod deploy;
mod develop;
mod devices;
mod health;
mod logging;
mod mount;
mod naru;
mod port;
mod print;
mod resource;
mod restart;
mod root;
mod service;
mod units;

pub use attachment::{Attachment, ExtraHosts, NetworkMode};
pub use build::{Build, Ulimit};
pub use deploy::{
    Deploy, DeployRestart, DiscreteResource, GenericResource, Limits, Placement, Preference,
    Reservations, Resources, RolloutConfig,
};
pub use develop::{Develop, Hook, Provider, Trigger};
pub use devices::{
    BlkioConfig, CredentialSpec, Device, DeviceRequest, Logging, ThrottleDevice, WeightDevice,
};
pub use health::{Condition, Dependency, Healthcheck};
pub use logging::{
    LogDriver, LogSettings, LoggingError, Syslog, SyslogAddress, SyslogFormat, fill_tag,
};
pub use mount::{
    BindOptions, EnvFile, FileReference, ImageOptions, Mount, MountKind, TmpfsOptions,
    VolumeOptions,
};
pub use naru::{Address, ExtensionError, READY, RESTART, Ready, RestartRules, Sign};
pub use port::{Port, Protocol, UnknownProtocol};
pub use print::Dollar;
pub use resource::{FileObject, Ipam, IpamPool, Model, ModelReference, Network, Volume};
pub use restart::{PullPolicy, RestartPolicy};
pub use root::{Extensions, Project};
pub use service::Service;
pub use units::{Bytes, Cpus, FileMode, Period, UnitError};

/// Whether a value is what its type starts as, which is when `docker compose config` leaves it out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
