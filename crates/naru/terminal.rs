//! The user's terminal while a container has it: every byte is passed on, nothing is interpreted here.

use std::io;

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr};

/// The terminal in raw mode; dropped, it is as it was.
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Puts the terminal on stdin into raw mode.
    ///
    /// # Errors
    /// When stdin is no terminal.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that has gone needs no restoring.
        let _restored = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// The size of the terminal on stdin, where there is one.
pub(crate) fn size() -> Option<Winsize> {
    tcgetwinsize(stdin()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0)
}
