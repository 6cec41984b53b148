//! The `naru` command: arguments → settings → command → exit code.
//!
//! Commands live in [`commands`], one file each. They ask the other crates for everything that a second
//! front end would need as well; what is left here is arguments, rendering, hints and exit codes. Only
//! [`ui`] prints.

mod arguments;
mod attachment;
mod commands;
mod conversation;
mod error;
mod follow;
mod github;
mod refused;
mod settings;
mod signals;
mod terminal;
mod time;
mod trace;
mod ui;
mod variables;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The same program is a container's init, a project's keeper and its supervisor.
    naru_runtime::run_role_if_asked();
    let environment = settings::environment();
    let in_background = std::env::args_os().nth(1).is_some_and(is_role);
    trace::start(&environment, in_background);
    if let Some(ended) = naru_supervisor::run_role_if_asked() {
        return ended;
    }
    ExitCode::from(run(environment))
}

/// Whether this is an argument that naru gives to itself: no command ends so.
fn is_role(argument: OsString) -> bool {
    argument.as_encoded_bytes().ends_with(b":")
}

fn run(environment: BTreeMap<String, String>) -> u8 {
    let cli = match arguments::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(refused) => return arguments::explain(&refused, &environment),
    };
    let (globals, command) = cli.split();
    let printer = globals.printer(&environment);
    let github = github::GitHub::of(&environment);
    let settings = match settings::Settings::resolve(globals, environment) {
        Ok(settings) => settings,
        Err(error) => return error.explain(&printer),
    };
    let printer = settings.printer();
    let outcome = variables::check(&settings).and_then(|notes| {
        notes.iter().for_each(|note| printer.say(note));
        commands::run(command, &settings, &printer)
    });
    outcome.unwrap_or_else(|error| {
        let code = error.explain(&printer);
        github.iter().for_each(|github| error.annotate(github, &printer));
        code
    })
}
