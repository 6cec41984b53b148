//! The thread that all servers of a project run in.
//!
//! Whoever makes and ends containers has a lot to do at a time, on a busy machine for half a second; and who floods a
//! server shall not hold that up in turn.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{self, Handle};
use tokio::sync::{oneshot, watch};

use super::{Error, Server, Sockets, Upstream, View, Zone};

/// Stack of the thread: answers need a few kilobytes, and debug builds several times that.
const STACK: usize = 512 * 1024;

/// A running thread; when this is dropped its servers end with it.
#[derive(Debug)]
pub struct Resolver {
    runtime: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Starts the thread, in the network namespace of the caller, which is where the host's servers are asked from.
    ///
    /// # Errors
    /// When the thread, or what it waits with, cannot be made.
    pub fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let serve = move || {
            // An end that is never told is one too.
            runtime.block_on(async { drop(ended.await) });
        };
        let thread = thread::Builder::new().name("names".into()).stack_size(STACK).spawn(serve)?;
        Ok(Self { runtime: handle, end: Some(end), thread: Some(thread) })
    }

    /// Serves a container in the thread, with these name servers behind it.
    ///
    /// # Errors
    /// When the sockets cannot be waited for.
    pub fn serve(
        &self,
        sockets: Sockets,
        zones: watch::Receiver<Arc<Zone>>,
        view: View,
        upstream: Upstream,
    ) -> Result<Server, Error> {
        let _inside = self.runtime.enter();
        Server::spawn(sockets, zones, view, upstream)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed where it happened.
            drop(thread.join());
        }
    }
}
