//! One boot of the emulated machine, with a deadline.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::results::Results;

/// The emulated machine.
pub(crate) struct Machine {
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
    pub(crate) disk: PathBuf,
    /// Where the guest's kernel writes.
    pub(crate) log: PathBuf,
    /// Where the tests look for the programs: the folder they were built in.
    pub(crate) programs: PathBuf,
    pub(crate) processors: u32,
    /// How long a boot may take.
    pub(crate) deadline: Duration,
}

/// What the guest is asked to do.
pub(crate) struct Boot {
    pub(crate) stage: &'static str,
    pub(crate) groups: &'static str,
    pub(crate) filter: Option<String>,
}

impl Machine {
    /// Boots and relays the results until the guest is off.
    pub(crate) fn boot(&self, boot: &Boot, results: &mut Results) -> Result<()> {
        let mut guest = Guest(self.start(boot)?);
        let lines = reader(&mut guest.0)?;
        let deadline = Instant::now() + self.deadline;
        results.begin();
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => results.line(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.show_log();
                    bail!("the guest hung: no end after {} s", self.deadline.as_secs());
                }
            }
        }
        let status = guest.0.wait()?;
        if !status.success() {
            bail!("qemu ended with {status}");
        }
        if !results.is_complete() {
            self.show_log();
            bail!("the guest ended before its tests did");
        }
        Ok(())
    }

    fn start(&self, boot: &Boot) -> Result<Child> {
        // A panic reboots at once, which ends the emulation.
        let mut line = format!(
            "console=ttyS0 panic=-1 loglevel=5 psi=1 naru.stage={} naru.cgroups={} naru.programs={}",
            boot.stage,
            boot.groups,
            self.programs.display()
        );
        if let Some(filter) = &boot.filter {
            line.push_str(&format!(" naru.filter={filter}"));
        }
        Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1536", "-smp"])
            .arg(self.processors.to_string())
            .args(["-nodefaults", "-no-reboot", "-display", "none", "-kernel"])
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .arg("-append")
            .arg(line)
            .arg("-drive")
            .arg(format!("file={},format=raw,if=virtio,cache=unsafe", self.disk.display()))
            .arg("-serial")
            .arg(format!("file:{}", self.log.display()))
            .args(["-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run qemu-system-x86_64")
    }

    /// The end of the kernel's log, where a panic is.
    fn show_log(&self) {
        let text = fs_err::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        eprintln!("    the guest's kernel log ends with:");
        for line in lines.iter().skip(lines.len().saturating_sub(60)) {
            eprintln!("    | {line}");
        }
    }
}

/// A guest that does not outlive this task.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        // It has ended already when all went well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The guest's lines, read by a thread so that waiting for them can have an end.
fn reader(guest: &mut Child) -> Result<Receiver<String>> {
    let output = guest.stdout.take().context("qemu has no output")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while matches!(output.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });
    Ok(receiver)
}
