//! Network namespaces for tests: never the machine's own.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::Uid;

use crate::network;

/// A network namespace that lives as long as a descriptor of it.
pub(crate) struct Netns(pub(crate) OwnedFd);

impl AsFd for Netns {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Netns {
    /// A new namespace as the kernel makes it.
    pub(crate) fn without_loopback() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            Self(current())
        };
        thread::spawn(make).join().unwrap()
    }

    /// A new namespace with its loopback interface up.
    pub(crate) fn new() -> Self {
        let netns = Self::without_loopback();
        network::loopback_up(netns.as_fd()).unwrap();
        netns
    }

    /// Runs `work` inside.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        crate::namespace::within(self.as_fd(), work).unwrap()
    }

    /// Starts a thread that stays inside.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let own = Self(self.0.try_clone().unwrap());
        thread::spawn(move || {
            nix::sched::setns(own.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }
}

/// The namespace of the calling thread.
pub(crate) fn current() -> OwnedFd {
    fs_err::File::open("/proc/thread-self/ns/net").unwrap().into_file().into()
}

/// Runs a test in a network namespace of its own with loopback up: in a thread when root runs the
/// tests, else in a new program that is root of a user namespace, which takes longer.
pub(crate) fn run(test: impl FnOnce() + Send + 'static) {
    if !Uid::effective().is_root() {
        return naru_test::sandbox(test);
    }
    let outcome = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        network::loopback_up(current().as_fd()).unwrap();
        test();
    })
    .join();
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}
