//! Names inside containers: a server on 127.0.0.11 in each container's network namespace.
//!
//! The sockets are made inside that namespace ([`bind`]) and served from the host's, so forwarded
//! questions go where the host's own would go, to a resolver on its loopback interface as well. They
//! have a high port; rules in the container's namespace lead port 53 there ([`redirect`]).
//! All servers of a project run in one thread ([`Resolver`]). Which names exist is a [`Zone`], swapped as a whole; what one container sees of it is a [`View`].

mod batch;
mod hosts;
mod lookup;
mod message;
mod pace;
mod redirect;
pub mod resolv;
mod resolver;
mod server;
mod upstream;
mod zone;

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use lookup::lookup;
pub use message::{Question, TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_PTR};
pub use resolver::Resolver;
pub use server::Server;
pub use upstream::Upstream;
pub use zone::{Answer, HOST_NAMES, View, Zone};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::namespace;

/// Where the server is found inside a container, as in Docker.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

const PORT: u16 = 53;

/// Where the sockets are when nobody else is there: above the ports that the kernel gives away by itself, and used by
/// no service that is known.
const HIGH_PORT: u16 = 65_053;

/// Bytes of questions that wait, as the kernel counts them: some ten thousand, which are answered within half a second.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The server could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The container's network namespace could not be entered.
    #[error("cannot set up name resolution in the container")]
    Namespace(#[source] namespace::Error),
    /// A socket could not be bound inside it.
    #[error("cannot listen on {ADDRESS}:{PORT} in the container")]
    Bind(#[source] io::Error),
    /// A socket could not be served, or there is no thread to serve it.
    #[error("cannot serve the container's name resolution")]
    Serve(#[source] io::Error),
}

/// The sockets of one container's server. They stay in its network namespace whoever serves them.
#[derive(Debug)]
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
    reduced: Option<String>,
}

impl Sockets {
    /// Why port 53 itself is taken, where that is so: a server in the container cannot bind it on all addresses.
    pub fn reduced(&self) -> Option<&str> {
        self.reduced.as_deref()
    }

    /// Further descriptors of the same sockets, UDP first: who holds them keeps the questions that come while
    /// nobody serves.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub fn duplicate(&self) -> io::Result<[OwnedFd; 2]> {
        Ok([self.udp.as_fd().try_clone_to_owned()?, self.tcp.as_fd().try_clone_to_owned()?])
    }

    /// The sockets that [`Self::duplicate`] gave to another process.
    pub fn from_descriptors([udp, tcp]: [OwnedFd; 2]) -> Self {
        Self { udp: udp.into(), tcp: tcp.into(), reduced: None }
    }
}

/// Makes the sockets of a container's server. Its loopback interface must be up.
///
/// # Errors
/// When the namespace cannot be entered or the address is taken there.
pub fn bind(netns: BorrowedFd<'_>) -> Result<Sockets, Error> {
    namespace::within(netns, bind_inside).map_err(Error::Namespace)?
}

/// [`bind`], by a thread that is inside the namespace. Port 53 stays free for a server in the container, where rules can
/// be set.
pub(crate) fn bind_inside() -> Result<Sockets, Error> {
    let high = listen(HIGH_PORT).or_else(|_| listen(0)).and_then(|sockets| {
        let ports = (sockets.udp.local_addr()?.port(), sockets.tcp.local_addr()?.port());
        Ok((sockets, ports))
    });
    let (sockets, (udp, tcp)) = high.map_err(Error::Bind)?;
    let Err(refused) = redirect::lead(udp, tcp) else { return Ok(sockets) };
    drop(sockets);
    let sockets = listen(PORT).map_err(Error::Bind)?;
    Ok(Sockets { reduced: Some(refused.to_string()), ..sockets })
}

fn listen(port: u16) -> io::Result<Sockets> {
    let udp = UdpSocket::bind((ADDRESS, port))?;
    let tcp = TcpListener::bind((ADDRESS, port))?;
    // Questions wait here while the supervisor is replaced. Who may not have so much gets less.
    let _ = set_socket_recv_buffer_size_force(&udp, RECEIVE_BUFFER);
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok(Sockets { udp, tcp, reduced: None })
}

#[cfg(test)]
mod tests;
