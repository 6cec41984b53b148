//! The programs naru is compared with, behind the `peers` script beside the repository (or `$NARU_PEERS`).

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::task;

/// Where the peers see [`super::Bench::share`].
pub(crate) const SHARE: &str = "/share";

/// The script, or why there is none to ask.
#[derive(Debug)]
pub(crate) struct Peers {
    script: Result<PathBuf, String>,
}

impl Peers {
    /// Installs and starts the peers where that is possible; where not, their rows say why.
    pub(crate) fn start() -> Self {
        let script = std::env::var_os("NARU_PEERS")
            .map_or_else(|| task::workspace().join("../shared/tools/peers"), PathBuf::from);
        if !script.exists() {
            return Self { script: Err("no `peers` script (NARU_PEERS)".to_owned()) };
        }
        let started =
            Command::new(&script).arg("up").stdin(Stdio::null()).stdout(Stdio::null()).status();
        match started {
            Ok(status) if status.success() => Self { script: Ok(script) },
            _ => Self { script: Err("`peers up` failed".to_owned()) },
        }
    }

    /// A command that runs with the peers' root file system and network.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        verb: &str,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Command, String> {
        let mut command = Command::new(self.script.as_ref().map_err(Clone::clone)?);
        command.arg(verb).args(words).stdin(Stdio::null());
        Ok(command)
    }
}
