//! Why a start has failed: at its place in the file, and what is wrong with a command that cannot be run.

use std::io;

use naru_image::rootfs;
use naru_runtime::{Stage, profile};

use super::Job;
use crate::protocol::{Cause, Failure};

impl Job {
    /// A failure with its place in the file; the container is named.
    pub(super) fn failed(
        &self,
        error: &(dyn std::error::Error + 'static),
        attribute: &str,
    ) -> Box<Failure> {
        let cause = Failure::from_error(error);
        let message =
            format!("container {} cannot be started: {}", self.record.name, cause.message);
        let failure = Failure { message, causes: cause.causes, ..Failure::default() };
        let mut failure = failure.because(Cause::Start);
        if is_full(error) {
            let place = self.directories.data().display();
            failure = failure.hint(format!("the file system of {place} has no room left"));
        }
        let service = format!("services.{}", self.record.service);
        Box::new(match attribute {
            "" => failure.at(service),
            attribute => failure.at(format!("{service}.{attribute}")),
        })
    }

    /// A failure of the set-up inside; when it is the command's, what is wrong with that is found out.
    pub(super) fn not_started(
        &self,
        error: &naru_runtime::Error,
        root: std::os::fd::BorrowedFd<'_>,
        spec: &oci_spec::runtime::Spec,
    ) -> Box<Failure> {
        // What was begun ends with its cgroup.
        let _ended = self.cgroup.kill_all();
        let is_command = matches!(error.stage(), Some(Stage::Command | Stage::Exec));
        let process = spec.process().as_ref().filter(|_| is_command);
        let Some((process, command)) =
            process.and_then(|process| Some((process, process.args().as_ref()?.first()?)))
        else {
            return self.failed(error, "");
        };
        let path = process.env().iter().flatten().find_map(|entry| entry.strip_prefix("PATH="));
        let directory = process.cwd().to_string_lossy();
        let attribute = if self.service.entrypoint.is_some() { "entrypoint" } else { "command" };
        let diagnosed = rootfs::diagnose(root, path.unwrap_or(profile::PATH), &directory, command);
        let mut failure = match diagnosed {
            Some(cause) => {
                let text = std::io::Error::other(cause.to_string());
                Box::new(self.failed(&text, attribute).hint(cause.hint()))
            }
            None => self.failed(error, attribute),
        };
        let is_absent = error.errno() == Some(rustix::io::Errno::NOENT.raw_os_error());
        failure.code = Some(if is_absent { 127 } else { 126 });
        failure
    }
}

/// Whether a full file system is behind an error.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let by_kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let by_errno = error.downcast_ref::<rustix::io::Errno>();
    by_kind == Some(io::ErrorKind::StorageFull)
        || by_errno == Some(&rustix::io::Errno::NOSPC)
        || error.source().is_some_and(is_full)
}
