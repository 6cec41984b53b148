//! `naru attach`.

use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::{Request, Running};

use super::services;
use crate::attachment::{Attachment, DetachKeys, Input};
use crate::conversation::connect_or_start;
use crate::error::{Blame, CommandError};
use crate::settings::{Settings, Target};
use crate::ui::Printer;

/// Attach stdin, stdout and stderr to a service's running container
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Index of the container if the service has several
    #[arg(long, value_name = "N", default_value_t = 0)]
    index: u32,
    /// Don't pass stdin on
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to the container
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    sig_proxy: bool,
    /// Keys that detach from a container with a terminal (default: ctrl-p,ctrl-q)
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<DetachKeys>,
}

/// Runs the command; its exit code is the container's, 0 when it was detached from.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("attach")?;
    let target = settings.target(std::slice::from_ref(&args.service))?;
    let container = find(args, &target)?;
    let doing = format!("attach to container {}", container.record.name);
    let client = connect_or_start(&settings.directories, &target.name)?;
    let request = Request::Attach { id: container.record.id.to_string() };
    let attachment = Attachment {
        settings,
        target: &target,
        loaded: None,
        printer,
        doing,
        is_quiet: false,
        is_late: true,
        is_removed: false,
        passes_signals: args.sig_proxy,
        input: if args.no_stdin { Input::Nowhere } else { Input::Container },
        keys: args.detach_keys.clone().unwrap_or_default(),
    };
    let again = |running: &Running| Request::Attach { id: running.id.clone() };
    attachment.run(client, &request, again)
}

/// The container: the replica of that number, else the first one that runs; one that `run` has made comes last.
fn find(args: &Args, target: &Target) -> Result<Seen, CommandError> {
    let service = &args.service;
    services::check(std::slice::from_ref(service), target)?;
    let containers = observe::containers(&target.directories)
        .host(format!("look at project {}", target.name))?;
    let is_meant = |seen: &Seen| {
        let is_replica = !seen.record.is_one_off();
        let is_numbered = args.index == 0 || (is_replica && seen.record.number == args.index);
        seen.record.service == *service && seen.is_running() && is_numbered
    };
    let mut found: Vec<Seen> = containers.into_iter().filter(is_meant).collect();
    found.sort_by_key(|seen| (seen.record.is_one_off(), seen.record.number));
    found.into_iter().next().ok_or_else(|| match args.index {
        0 => CommandError::user(format!("service \"{service}\" is not running"))
            .hint(format!("`naru up -d {service}` starts it")),
        index => {
            CommandError::user(format!("service \"{service}\" is not running container #{index}"))
        }
    })
}
