//! Networks, addresses, firewall rules, published ports and DNS.
//!
//! This crate owns everything between a container and the world: the bridge of a network and the
//! links to it ([`network`], [`container`]), which subnet and which address ([`pool`], [`occupied`]), the rules of
//! a project ([`firewall`], [`forwarding`], and [`watch`] for what others do to them), ports of the host ([`ports`], [`proxy`]), names
//! ([`dns`]) and senders ([`guard`]). It never knows what a service or a project file is, keeps no records, and never
//! calls a host tool: links, addresses, routes and rules are set by netlink.
//!
//! Everything acts on the network namespace of the calling thread, except where a namespace is
//! given by its descriptor.
//!
//! ```no_run
//! use naru_net::{Network, Subnet, names, network, occupied, pool};
//!
//! let subnet = pool::pick(&pool::Pool::default(), &occupied::occupied(&[])?, "shop_default")?;
//! network::create(&Network {
//!     id: "shop_default".into(),
//!     kind: network::Kind::Bridge,
//!     bridge: names::bridge("shop_default"),
//!     group: names::group("shop"),
//!     subnets: vec![Subnet::new(subnet.into())],
//!     internal: false,
//!     mtu: None,
//!     interface_prefix: "eth".into(),
//!     isolated: false,
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod container;
pub mod dns;
pub mod firewall;
pub mod flows;
pub mod forwarding;
pub mod guard;
mod mac;
pub mod names;
pub mod namespace;
mod netlink;
pub mod network;
pub mod occupied;
pub mod pool;
pub mod ports;
pub mod proxy;
#[cfg(test)]
mod sandbox;
pub mod watch;

pub use mac::{InvalidMac, MacAddress};
pub use netlink::upper::{IpvlanFlag, IpvlanMode, MacvlanMode, Upper};
pub use netlink::{Refused, link::Link};
pub use network::{DefaultRoutes, Endpoint, Kind, Network, Parent, Subnet};
