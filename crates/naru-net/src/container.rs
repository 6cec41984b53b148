//! All of a container's network in one visit to its namespace.

use std::os::fd::BorrowedFd;

use crate::network::{self, Endpoint, Network};
use crate::{dns, namespace};

/// Why a container's network could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The namespace could not be entered, or its loopback interface could not be brought up.
    #[error(transparent)]
    Namespace(network::Error),
    /// The container could not join one of its networks.
    #[error("cannot join network {network}")]
    Join {
        /// Which of the endpoints it was, counted from 0.
        endpoint: usize,
        /// Id of its network.
        network: String,
        /// Why.
        source: network::Error,
    },
    /// The sockets of its name server could not be made.
    #[error(transparent)]
    Names(dns::Error),
}

/// Brings loopback up, joins all networks, and makes the sockets of the name server, which a container
/// without networks does not get. The same as [`network::loopback_up`], [`network::attach`] and
/// [`dns::bind`] one after the other, by one thread instead of three or more: on a busy machine each
/// thread waits for its turn.
///
/// # Errors
/// At the first step that fails. Links made before carry the project's group, and go with the namespace.
pub fn set_up(
    netns: BorrowedFd<'_>,
    endpoints: &[(&Network, Endpoint<'_>)],
) -> Result<Option<dns::Sockets>, Error> {
    let mut socket = network::host_socket().map_err(Error::Namespace)?;
    let visit = || {
        network::loopback_up_inside().map_err(Error::Namespace)?;
        for (index, (network, endpoint)) in endpoints.iter().enumerate() {
            network::attach_inside(&mut socket, network, endpoint).map_err(|source| {
                let network = network.id.clone();
                Error::Join { endpoint: index, network, source }
            })?;
        }
        if endpoints.is_empty() {
            return Ok(None);
        }
        dns::bind_inside().map(Some).map_err(Error::Names)
    };
    namespace::within(netns, visit)
        .map_err(|error| Error::Namespace(network::Error::Namespace(error)))?
}
