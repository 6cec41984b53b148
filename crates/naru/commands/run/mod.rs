//! `naru run`.

mod overrides;

use std::os::fd::AsRawFd;

use naru_supervisor::protocol::{self, Request};

use super::up;
use crate::attachment::{Attachment, DetachKeys, Input};
use crate::conversation::connect_or_start;
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::terminal;
use crate::ui::Printer;

/// Run a one-off command on a service
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The command and its arguments, instead of the service's
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
    /// Run the container in the background and print its name
    #[arg(short, long)]
    detach: bool,
    /// Remove the container when it has ended
    #[arg(long)]
    rm: bool,
    /// Set an environment variable
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Set environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_from_file: Vec<std::path::PathBuf>,
    /// Command line in place of the image's entrypoint
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// Name of the container
    #[arg(long, value_name = "NAME", value_parser = overrides::parse_name)]
    name: Option<String>,
    /// Add or change a label
    #[arg(short, long = "label", alias = "labels", value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Run as this user: name or number, with or without :group
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Directory to run the command in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Mount a volume or a path
    #[arg(short, long = "volume", alias = "volumes", value_name = "VOLUME")]
    volume: Vec<String>,
    /// Publish a port
    #[arg(short, long, value_name = "PORT", conflicts_with = "service_ports")]
    publish: Vec<String>,
    /// Publish the service's ports, which else are not
    #[arg(short = 'P', long)]
    service_ports: bool,
    /// Give the container the names of its service
    #[arg(long)]
    use_aliases: bool,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Take a capability away
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Don't start what the service depends on
    #[arg(long)]
    no_deps: bool,
    /// Remove containers of services that are not in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    /// Keep stdin open
    #[arg(short, long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    interactive: bool,
    /// Don't allocate a terminal (default: one is allocated when stdin and stdout are terminals)
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY", conflicts_with = "tty")]
    no_tty: bool,
    /// Allocate a terminal
    #[arg(short, long, hide = true)]
    tty: bool,
    /// Say nothing of what is done before the command runs
    #[arg(short, long)]
    quiet: bool,
    /// When to pull images; naru does not pull yet, so `always` and `build` are refused
    #[arg(long, value_name = "POLICY", default_value = "policy", value_parser = up::parse_pull)]
    pull: String,
    /// Pull without progress
    #[arg(long)]
    quiet_pull: bool,
}

/// Runs the command; its exit code is the container's.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let services = [args.service.clone()];
    let loaded = up::load(&services, settings, printer)?;
    up::check_names(services.iter(), &loaded)?;
    up::possible(&loaded, &services, settings)?;
    let target = settings.named(&loaded.project.name, None)?;
    let tty = overrides::wants_terminal(args, printer)?;
    let service = &loaded.project.services[&args.service];
    let overrides = overrides::of(args, tty, &loaded, settings)?;
    let slug = naru_state::ContainerId::random().host("make a name for the container")?;
    let slug = slug.short().to_owned();
    let between = loaded.project.separator();
    let usual = || {
        let parts = [target.name.as_str(), &args.service, "run", &slug];
        parts.join(&*between.encode_utf8(&mut [0; 4]))
    };
    let name = args.name.clone().unwrap_or_else(usual);
    let doing = format!("run service {} of project {}", args.service, target.name);
    let input = match (args.detach, args.interactive, tty) {
        (true, ..) | (_, false, _) => Input::Nowhere,
        (false, true, true) => Input::Container,
        (false, true, false) => {
            let flags = rustix::pipe::PipeFlags::CLOEXEC;
            let (read, write) = rustix::pipe::pipe_with(flags).host(&doing)?;
            Input::Pipe { read, write }
        }
    };
    let up = protocol::Up {
        services: services.to_vec(),
        no_deps: args.no_deps,
        remove_orphans: args.remove_orphans || up::defaults(&loaded, settings).remove_orphans,
        ..up::defaults(&loaded, settings)
    };
    let run = protocol::Run {
        up,
        service: args.service.clone(),
        name: name.clone(),
        slug,
        definition: naru_plan::one_off(service, &overrides),
        auto_remove: args.rm,
        use_aliases: args.use_aliases,
        attended: !args.detach,
        stdin: match &input {
            Input::Pipe { read, .. } => Some(read.as_raw_fd()),
            _ => None,
        },
        input: None,
        size: terminal::size().filter(|_| tty).map(|size| (size.ws_row, size.ws_col)),
        is_known: false,
    };
    let client = connect_or_start(&settings.directories, &target.name)?;
    let request = settings.wanted(Request::Run(Box::new(run.clone())));
    let attachment = Attachment {
        settings,
        target: &target,
        loaded: Some(&loaded),
        printer,
        doing,
        is_quiet: args.quiet,
        is_late: false,
        is_removed: args.rm,
        passes_signals: true,
        input,
        keys: DetachKeys::default(),
    };
    if settings.is_dry_run() {
        return attachment.begin(client, &request);
    }
    if args.detach {
        let code = attachment.begin(client, &request)?;
        if code == 0 {
            printer.data_line(&name)?;
        }
        return Ok(code);
    }
    let known = Request::Run(Box::new(protocol::Run { is_known: true, stdin: None, ..run }));
    attachment.run(client, &request, move |_running| known.clone())
}
