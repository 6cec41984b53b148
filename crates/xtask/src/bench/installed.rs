//! A naru with directories and an image of its own, for the groups of rows that run projects.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::Bench;
use crate::task;

/// The image of the groups that need nothing but busybox.
pub(crate) const IMAGE: &str = "naru-bench-busybox";

/// The release build, in directories that go with it.
pub(crate) struct Naru {
    program: PathBuf,
    directories: PathBuf,
}

impl Naru {
    /// With [`IMAGE`].
    pub(crate) fn prepare(bench: &Bench) -> Result<Self> {
        Self::with_image(bench, "/var/tmp/naru-bench", IMAGE)
    }

    /// With an image of the benchmark's root file system as it is now.
    pub(crate) fn with_image(bench: &Bench, directories: &str, image: &str) -> Result<Self> {
        let naru = Self { program: bench.naru.clone(), directories: PathBuf::from(directories) };
        fs_err::create_dir_all(naru.run())?;
        // As `/run` is everywhere, that of the programs it is compared with too.
        task::run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(naru.run()))?;
        let tar = naru.directories.join("image.tar");
        task::run(Command::new("tar").arg("-C").arg(bench.root()).arg("-cf").arg(&tar).arg("."))?;
        task::run(naru.command().args(["image", "import"]).arg(&tar).arg(image))?;
        Ok(naru)
    }

    /// Writes the Compose file that [`Naru::command`] finds.
    pub(crate) fn write(&self, file: &str) -> Result<()> {
        Ok(fs_err::write(self.directories.join("compose.yaml"), file)?)
    }

    /// `naru`, where its Compose file is.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        self.with_directories(&mut command).current_dir(&self.directories);
        command
    }

    /// Lets a command that calls naru use these directories.
    pub(crate) fn with_directories<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("NARU_ROOT", self.directories.join("root")).env("NARU_RUN", self.run())
    }

    /// Where it keeps what goes on.
    pub(crate) fn run(&self) -> PathBuf {
        self.directories.join("run")
    }

    /// Takes its project down and its directories away.
    pub(crate) fn take_down(self) -> Result<()> {
        task::run(self.command().args(["down", "-t", "0"]))?;
        task::run(Command::new("umount").arg("--lazy").arg(self.run()))?;
        Ok(fs_err::remove_dir_all(&self.directories)?)
    }

    /// Takes its directories away, whatever is left of its projects.
    pub(crate) fn remove(self) {
        drop(task::run(Command::new("umount").args(["--lazy"]).arg(self.run())));
        drop(fs_err::remove_dir_all(self.directories));
    }
}
