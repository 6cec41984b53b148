//! The commands, one file each: its arguments on top, what it does below.

pub(crate) mod analyze;
pub(crate) mod attach;
pub(crate) mod config;
pub(crate) mod create;
mod diagnostics;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod exec;
mod explain;
pub(crate) mod image;
pub(crate) mod kill;
mod labels;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod network;
pub(crate) mod port;
pub(crate) mod ps;
pub(crate) mod remove;
pub(crate) mod restart;
pub(crate) mod run;
pub(crate) mod scale;
mod services;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod system;
pub(crate) mod up;
pub(crate) mod version;
pub(crate) mod volume;
pub(crate) mod wait;
mod zombies;

use crate::arguments::{Command, Verb};
use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::Printer;

/// Runs a command and gives its exit code.
///
/// # Errors
/// When it fails; `main` tells the user.
pub(crate) fn run(
    command: Command,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    match command {
        Command::Compose(compose) => run(Command::Verb(compose.verb), settings, printer),
        Command::Image(command) => image::run(&command, settings, printer),
        Command::Network(command) => network::run(&command, settings, printer),
        Command::Volume(command) => volume::run(&command, settings, printer),
        Command::System(command) => system::run(&command, settings, printer),
        Command::Verb(verb) => match verb {
            Verb::Up(args) => up::run(&args, settings, printer),
            Verb::Down(args) => down::run(&args, settings, printer),
            Verb::Port(args) => port::run(&args, settings, printer),
            Verb::Ps(args) => ps::run(&args, settings, printer),
            Verb::Logs(args) => logs::run(&args, settings, printer),
            Verb::Run(args) => run::run(&args, settings, printer),
            Verb::Attach(args) => attach::run(&args, settings, printer),
            Verb::Analyze(args) => analyze::run(&args, settings, printer),
            Verb::Events(args) => events::run(&args, settings, printer),
            Verb::Exec(args) => exec::run(&args, settings, printer),
            Verb::Create(args) => create::run(&args, settings, printer),
            Verb::Start(args) => start::run(&args, settings, printer),
            Verb::Stop(args) => stop::run(&args, settings, printer),
            Verb::Restart(args) => restart::run(&args, settings, printer),
            Verb::Kill(args) => kill::run(&args, settings, printer),
            Verb::Remove(args) => remove::run(&args, settings, printer),
            Verb::Scale(args) => scale::run(&args, settings, printer),
            Verb::Wait(args) => wait::run(&args, settings, printer),
            Verb::Config(args) => config::run(&args, settings, printer),
            Verb::Ls(args) => ls::run(&args, settings, printer),
            Verb::Version(args) => version::run(&args, printer),
        },
    }
}
