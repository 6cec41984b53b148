//! How a foreground `up` is brought to its end: what Ctrl-C asks for, and whom it is asked of.

use std::time::{Duration, Instant};

use naru_supervisor::client::Client;
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::{Reply, Request, Stop};
use nix::sys::signal::Signal;

use super::{Event, Stopping, View};
use crate::conversation::listen;
use crate::error::{Blame, CommandError, INTERRUPTED};

/// How long a supervisor may take to come back.
const RETURN: Duration = Duration::from_secs(3);

impl View<'_> {
    /// The first time asks the containers to stop, the second time ends them, the third time does not wait.
    pub(super) fn interrupt(&mut self) -> Result<Option<u8>, CommandError> {
        match self.stopping {
            None => {
                let text = "Gracefully stopping... (press Ctrl+C again to force)";
                self.progress.finish();
                self.session.printer.say(text);
                self.stop(Stopping::Asked)?;
                Ok(None)
            }
            Some(Stopping::Asked | Stopping::Aborted(_)) => {
                self.stopping = Some(Stopping::Forced);
                let services = self.session.args.services.clone();
                let request = Request::Kill { services, signal: Signal::SIGKILL as i32 };
                self.ask(&request, |_reply| Event::Kill)?;
                Ok(None)
            }
            Some(Stopping::Forced) => Ok(Some(INTERRUPTED)),
        }
    }

    pub(super) fn stop(&mut self, why: Stopping) -> Result<(), CommandError> {
        self.stopping = Some(why);
        self.send_stop()
    }

    pub(super) fn send_stop(&self) -> Result<(), CommandError> {
        let timeout = self.session.args.timeout.map(Duration::from_secs);
        let request = Request::Stop(Stop { services: self.session.args.services.clone(), timeout });
        self.ask(&request, Event::Stop)
    }

    /// Whether any container of the project runs.
    pub(super) fn runs(&self) -> Result<bool, CommandError> {
        let containers = observe::containers(&self.session.target.directories).host(&self.doing)?;
        Ok(containers.iter().any(Seen::is_running))
    }

    /// Sends a request on a connection of its own.
    pub(super) fn ask(
        &self,
        request: &Request,
        wrap: impl Fn(Option<Reply>) -> Event + Send + 'static,
    ) -> Result<(), CommandError> {
        match self.reach()? {
            Some(mut client) => {
                client.send(request).host(&self.doing)?;
                listen(client, self.sender.clone(), wrap);
            }
            // Nobody is there who could have containers.
            None => drop(self.sender.send(wrap(Some(Reply::Done)))),
        }
        Ok(())
    }

    /// The supervisor; one that has just died is started again by the keeper, which takes a moment.
    pub(super) fn reach(&self) -> Result<Option<Client>, CommandError> {
        let directories = &self.session.target.directories;
        let deadline = Instant::now() + RETURN;
        loop {
            if let Some(client) = Client::connect(directories).host(&self.doing)? {
                return Ok(Some(client));
            }
            let containers = observe::containers(directories).host(&self.doing)?;
            if !containers.iter().any(Seen::is_running) || Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
