//! What clients ask for: one command at a time, the others wait their turn. A stop does not wait: it ends
//! the `up` that is under way.

use naru_state::ContainerId;
use rustix::process::{Signal, pidfd_send_signal};

use super::Supervisor;
use super::control::Client;
use crate::network::predefined;
use crate::protocol::{Failure, Reply, Request};

impl Supervisor {
    /// Takes a request.
    pub(super) fn asked(&mut self, request: Request, client: Client) {
        match request {
            Request::Watch => self.watchers.push(client),
            Request::Names => {
                self.refresh_names();
                drop(client.send(Reply::Done));
            }
            Request::Kill { services, signal } => self.kill(&services, signal, &client),
            Request::Signal { id, signal } => self.signal_one(&id, signal, &client),
            Request::Attach { id } => self.attach(&id, client),
            Request::Leave { id } => self.leave(&id, client),
            // The next supervisor's: without an answer, it is asked again.
            _ if self.keeper.is_leaving() => self.queue.push_back((request, client)),
            Request::Stop(_) | Request::Down(_) if self.is_coming_up() => {
                self.cancel_operation();
                self.queue.push_back((request, client));
            }
            _ if self.operation.is_some() => {
                let text = "another command on this project is under way; waiting for it";
                drop(client.send(Reply::Notice(text.to_owned())));
                self.queue.push_back((request, client));
            }
            _ => self.begin(request, client),
        }
    }

    /// Whether the command under way is an `up`, which a stop need not wait for.
    fn is_coming_up(&self) -> bool {
        self.operation.as_ref().is_some_and(|operation| operation.comes_up)
    }

    /// Begins a request that has had to wait, if there is one.
    pub(super) fn begin_next(&mut self) {
        while self.operation.is_none() && !self.finished && !self.keeper.is_leaving() {
            let Some((request, client)) = self.queue.pop_front() else { return };
            self.begin(request, client);
        }
    }

    fn begin(&mut self, mut request: Request, client: Client) {
        if let Err(failure) = predefined::settle(&mut request) {
            self.end_if_empty();
            drop(client.send(Reply::Failed(*failure)));
            return;
        }
        let begun = match request {
            Request::Up(up) => self.begin_up(*up, &client),
            Request::Down(down) => self.begin_down(&down, &client),
            Request::Stop(stop) => self.begin_stop(&stop, &client),
            Request::Start(start) => self.begin_start(&start, &client),
            Request::Restart(restart) => self.begin_restart(&restart, &client),
            Request::Remove(remove) => self.begin_remove(&remove, &client),
            Request::Run(run) => self.begin_run(*run, &client),
            Request::Boot => self.begin_boot(&client),
            Request::Rewrite => self.rewrite(&client),
            Request::DryRun(request) => self.tell_plan(&request, &client),
            Request::Connect(connect) => self.connect(&connect, &client),
            Request::Disconnect { container, network } => {
                self.disconnect(&container, &network, &client)
            }
            Request::RemoveNetwork { name } => self.begin_remove_network(&name, &client),
            Request::Kill { .. }
            | Request::Signal { .. }
            | Request::Attach { .. }
            | Request::Leave { .. }
            | Request::Names
            | Request::Watch
            | Request::Upgrade => Ok(()),
        };
        if let Err(failure) = begun {
            self.end_if_empty();
            drop(client.send(Reply::Failed(*failure)));
        }
    }

    /// Who asks for SIGKILL wants the container to stay ended. It is written down before the signal: whoever learns of the
    /// end may be the next supervisor.
    pub(super) fn will_be_sent(&mut self, id: &ContainerId, signal: Signal) {
        let Some(live) = self.containers.get_mut(id) else { return };
        if signal == Signal::KILL && live.running.is_some() {
            live.state.stopped_by_user = true;
            self.save_state(id);
        }
    }

    /// Sends a signal to running containers; restart policies do not undo what the user does.
    fn kill(&mut self, services: &[String], signal: i32, client: &Client) {
        let Some(signal) = Signal::from_named_raw(signal) else {
            let message = format!("signal {signal} is not known");
            drop(client.send(Reply::Failed(Failure { message, ..Failure::default() })));
            return;
        };
        let chosen = |service: &String| services.is_empty() || services.contains(service);
        let all = self.containers.iter().filter(|(_, live)| chosen(&live.record.service));
        let all: Vec<_> = all.map(|(id, _)| id.clone()).collect();
        for id in all {
            self.will_be_sent(&id, signal);
            let running = self.containers.get(&id).and_then(|live| live.running.as_ref());
            let Some(running) = running else { continue };
            // A process that has just ended needs no signal.
            let _sent = pidfd_send_signal(&running.pidfd, signal);
            self.tell_signal(&id, signal.as_raw());
        }
        drop(client.send(Reply::Done));
    }
}
