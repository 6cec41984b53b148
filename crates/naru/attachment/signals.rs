//! Signals that are the container's. The supervisor passes them on: it knows its processes.

use std::sync::mpsc::{self, Sender};
use std::thread;

use naru_supervisor::client::Client;
use naru_supervisor::protocol::{Reply, Request};
use nix::sys::signal::Signal;

use crate::settings::{Settings, Target};

/// What is passed on rather than obeyed.
pub(super) const ALL: [Signal; 11] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGPWR,
    Signal::SIGWINCH,
];

/// Whether the signal asks for an end.
pub(super) fn ends(signal: Signal) -> bool {
    matches!(signal, Signal::SIGHUP | Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTERM)
}

/// The way of signals to one container, in the order in which they came.
#[derive(Debug)]
pub(super) struct Passing {
    signals: Sender<Signal>,
    /// Asked for an end how often.
    asked: u32,
}

impl Passing {
    /// The way to the container of this id.
    pub(super) fn begin(settings: &Settings, target: &Target, id: String) -> Self {
        let (signals, passed) = mpsc::channel::<Signal>();
        let (directories, project) = (settings.directories.clone(), target.name.clone());
        thread::spawn(move || {
            for signal in passed {
                let request = Request::Signal { id: id.clone(), signal: signal as i32 };
                // A container whose supervisor cannot be had is reached by nobody.
                let Ok(mut client) = Client::connect_or_start(&directories, &project) else {
                    continue;
                };
                if client.send(&request).is_ok() {
                    while !matches!(
                        client.next_reply(),
                        Ok(None | Some(Reply::Done | Reply::Failed(_))) | Err(_)
                    ) {}
                }
            }
        });
        Self { signals, asked: 0 }
    }

    /// Passes one on. Who asks for an end a second time does not want to wait for it.
    pub(super) fn pass(&mut self, signal: Signal) {
        let asks = matches!(signal, Signal::SIGINT | Signal::SIGTERM);
        self.asked += u32::from(asks);
        let signal = if asks && self.asked > 1 { Signal::SIGKILL } else { signal };
        let _passed = self.signals.send(signal);
    }
}
