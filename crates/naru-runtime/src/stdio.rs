//! The descriptors of a process in a container: standard input, output and error, and those handed over.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::Error;
use crate::plan::StdioPlan;

/// The standard files; what is `None` is the null device. With a terminal the three are not used.
#[derive(Debug, Default)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: Option<OwnedFd>,
    /// Descriptor 1.
    pub stdout: Option<OwnedFd>,
    /// Descriptor 2.
    pub stderr: Option<OwnedFd>,
    /// Descriptors 3 and up, in this order.
    pub further: Vec<OwnedFd>,
}

impl Stdio {
    /// All three are the null device.
    #[must_use]
    pub fn null() -> Self {
        Self::default()
    }

    /// The calling process's own standard files.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub fn inherit() -> Result<Self, Error> {
        let copy = |file: BorrowedFd<'_>| {
            file.try_clone_to_owned().map(Some).map_err(|error| Error::host("copy stdio", error))
        };
        Ok(Self {
            stdin: copy(std::io::stdin().as_fd())?,
            stdout: copy(std::io::stdout().as_fd())?,
            stderr: copy(std::io::stderr().as_fd())?,
            further: Vec::new(),
        })
    }

    /// Adds the descriptors to an envelope and tells their places.
    pub(crate) fn enclose<'a>(&'a self, envelope: &mut Vec<BorrowedFd<'a>>) -> StdioPlan {
        let mut enclose = |file: &'a OwnedFd| {
            envelope.push(file.as_fd());
            envelope.len() - 1
        };
        let files = [&self.stdin, &self.stdout, &self.stderr];
        StdioPlan {
            files: files.map(|file| file.as_ref().map(&mut enclose)),
            further: self.further.iter().map(&mut enclose).collect(),
        }
    }
}
