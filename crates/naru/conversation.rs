//! Talking to a project's supervisor: send a request, show what comes back.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;
use std::{io, thread};

use naru_compose::Loaded;
use naru_supervisor::client::Client;
use naru_supervisor::protocol::{Failure, Reply, Request};

use crate::error::{Blame, CommandError};
use crate::ui::{Printer, Progress};

/// How often running times are brought up to date.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Sends `request` and shows progress until it is done. `doing` follows "naru: cannot ".
///
/// # Errors
/// When it fails, with the place in the Compose file where there is one.
pub(crate) fn converse(
    printer: &Printer,
    client: Client,
    request: &Request,
    loaded: Option<&Loaded>,
    doing: &str,
) -> Result<(), CommandError> {
    let result = exchange(printer, client, request, doing)?;
    result.map_err(|failure| explain(failure, loaded, doing))
}

/// [`converse`], with the supervisor's own word on a failure.
///
/// # Errors
/// When the request could not be sent.
pub(crate) fn exchange(
    printer: &Printer,
    mut client: Client,
    request: &Request,
    doing: &str,
) -> Result<Result<(), Failure>, CommandError> {
    client.send(request).host(doing)?;
    tell_other_version(printer, &client);
    let (sender, replies) = mpsc::channel();
    listen(client, sender, |reply| reply);
    let mut progress = Progress::new(printer);
    loop {
        let reply = if progress.is_live() {
            match replies.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {
                    progress.tick();
                    continue;
                }
                reply => reply.ok(),
            }
        } else {
            replies.recv().ok()
        };
        if let Some(result) = show(printer, &mut progress, reply.flatten()) {
            progress.finish();
            return Ok(result);
        }
    }
}

/// A running project goes on with the program that it was started with.
fn tell_other_version(printer: &Printer, client: &Client) {
    let (theirs, own) = (&client.hello().version, env!("CARGO_PKG_VERSION"));
    if theirs != own {
        let text = format!(
            "this project is run by naru {theirs}; `naru system upgrade` lets naru {own} take over, which disturbs no \
             container"
        );
        printer.say(&text);
    }
}

/// Sees to it that what runs of a project is looked after, also by a command that only looks. One that cannot be helped
/// is looked at all the same.
pub(crate) fn revive(
    directories: &naru_state::Directories,
    project: &naru_state::ProjectName,
    printer: &Printer,
) {
    if let Err(error) = naru_supervisor::client::revive(directories, project) {
        printer.say(&format!("Warning: nobody looks after project {project}: {error}"));
    }
}

/// Shows a reply; gives the result when it was the last. `None` is a supervisor that has gone.
pub(crate) fn show(
    printer: &Printer,
    progress: &mut Progress<'_>,
    reply: Option<Reply>,
) -> Option<Result<(), Failure>> {
    match reply {
        Some(Reply::Progress(news)) => progress.report(&news),
        Some(Reply::Notice(text)) => {
            progress.clear();
            printer.say(&text);
            progress.show();
        }
        Some(Reply::Hook { container, line }) => {
            progress.clear();
            printer.hook(&container, &line);
            progress.show();
        }
        Some(Reply::Plan(text)) => {
            // When nobody reads it there is nobody to tell.
            let _written = printer.data(&text);
        }
        Some(
            Reply::Changed(_)
            | Reply::Hello(_)
            | Reply::Running(_)
            | Reply::Restarts(_)
            | Reply::Ended { .. },
        ) => {}
        Some(Reply::Done) => return Some(Ok(())),
        Some(Reply::Failed(failure)) => return Some(Err(failure)),
        None => {
            let message = "the project's supervisor has gone".to_owned();
            return Some(Err(Failure { message, ..Failure::default() }));
        }
    }
    None
}

/// Passes replies on from a thread, wrapped; a last `None` says that the supervisor is gone.
pub(crate) fn listen<T: Send + 'static>(
    mut client: Client,
    sender: Sender<T>,
    wrap: impl Fn(Option<Reply>) -> T + Send + 'static,
) {
    thread::spawn(move || {
        loop {
            let reply = client.next_reply().unwrap_or_else(unreadable);
            let last = matches!(reply, None | Some(Reply::Done | Reply::Failed(_)));
            if sender.send(wrap(reply)).is_err() || last {
                return;
            }
        }
    });
}

/// An answer that cannot be read, as a failure.
pub(crate) fn unreadable(error: io::Error) -> Option<Reply> {
    let failure = Failure {
        message: "the supervisor's answer cannot be read".to_owned(),
        causes: vec![error.to_string()],
        ..Failure::default()
    };
    Some(Reply::Failed(failure))
}

/// The connection to a project's supervisor, which is started when there is none.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn connect_or_start(
    directories: &naru_state::Directories,
    project: &naru_state::ProjectName,
) -> Result<Client, CommandError> {
    let client: io::Result<Client> = Client::connect_or_start(directories, project);
    client.host(format!("start the supervisor of project {project}"))
}

/// A supervisor's failure as the command's: at its place in the Compose file, or as a chain of causes.
pub(crate) fn explain(failure: Failure, loaded: Option<&Loaded>, doing: &str) -> CommandError {
    let mut words = vec![failure.message];
    words.extend(failure.causes);
    let message = words.join(": ");
    let key = failure.key.as_deref();
    let placed = loaded.zip(key).and_then(|(loaded, key)| loaded.problem_at(key, &message));
    let mut hints = failure.hints.into_iter();
    let error = match placed {
        Some(mut problem) => {
            problem.hint = hints.next();
            CommandError::problems(&[problem])
        }
        None => CommandError::user(format!("cannot {doing}: {message}")),
    };
    hints.fold(error.because(failure.cause), CommandError::hint)
}
