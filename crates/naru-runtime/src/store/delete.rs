//! Deleting a recorded container.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::{Container, Error, GROUP, Status, Store};
use crate::process::has_ended;
use crate::store::ContainerId;

/// How long a killed container may take to end.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

impl Store {
    /// Deletes what a creator that died left of a container without even a record; false when there
    /// is nothing.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn clear(&self, id: &ContainerId) -> Result<bool, Error> {
        let path = self.directory(id);
        if !path.is_dir() || super::Lock::is_held(&path) {
            return Ok(false);
        }
        match fs_err::remove_dir_all(&path) {
            Ok(()) => Ok(true),
            Err(source) => Err(Error::File { action: "remove", path, source }),
        }
    }
}

impl Container {
    /// Removes its control groups, with what is still in them, and its record.
    ///
    /// `force` kills it first if it runs. One that waits for its start is killed in any case: nothing
    /// of its program is lost. What is returned are sentences about poststop hooks that failed.
    ///
    /// # Errors
    /// [`Error::Status`] when it runs; [`Error::Alive`] when it cannot be killed.
    pub fn delete(&self, force: bool) -> Result<Vec<String>, Error> {
        let _lock = self.lock()?;
        match self.status()? {
            Status::Stopped => {}
            Status::Created => self.end()?,
            _ if force => self.end()?,
            status => return Err(self.wrong_status("delete", status)),
        }
        let cgroup = self.cgroup()?;
        cgroup.kill_all()?;
        cgroup.remove()?;
        if cgroup.path().parent() == Some(Path::new(GROUP)) {
            cgroup.remove_upwards(Duration::from_secs(1));
        }
        let path = self.directory().to_owned();
        fs_err::remove_dir_all(&path).map_err(|source| Error::File {
            action: "remove",
            path,
            source,
        })?;
        let record = self.record();
        Ok(crate::hooks::poststop(&record.config, &record.state()))
    }

    /// Kills all its processes and waits until the first one has ended.
    fn end(&self) -> Result<(), Error> {
        if let Some(process) = self.process()? {
            // One that has ended meanwhile is as good.
            let _ = naru_sys::process::send_signal(process.as_fd(), 9);
            self.cgroup()?.kill_all()?;
            let mut poll = [PollFd::new(&process, PollFlags::IN)];
            let begin = Instant::now();
            while !has_ended(process.as_fd()) && begin.elapsed() < Duration::from_secs(10) {
                // An interruption is looked at by the loop's condition.
                let _ = rustix::event::poll(&mut poll, Some(&PATIENCE));
            }
            if !has_ended(process.as_fd()) {
                return Err(Error::Alive(self.id().clone()));
            }
        }
        Ok(())
    }
}
