//! `naru-oci`: the OCI runtime command line on `naru_runtime`, for podman, containerd, dockerd and whoever
//! else drives a runtime by its commands.
//!
//! Commands are in [`commands`], one file each, with runc's names, flags, defaults and exit codes. What they
//! do is in the library; here are arguments, files of the bundle, the terminal, output and exit codes.
//! Only [`ui`] prints.

mod arguments;
mod bundle;
mod commands;
mod console;
mod descriptors;
mod foreground;
mod notify;
mod pid_file;
mod signals;
mod ui;

use std::process::ExitCode;

use descriptors::Inherited;
use ui::Ui;

fn main() -> ExitCode {
    // The same program becomes the first process of a container.
    naru_runtime::run_role_if_asked();
    let cli = match arguments::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(refused) => return arguments::explain(&refused),
    };
    let failure = cli.command.failure_code();
    // First, while every open descriptor is one that was handed over.
    let inherited = Inherited::take(cli.command.preserved_descriptors());
    let ui = match Ui::open(&cli.global) {
        Ok(ui) => ui,
        Err(error) => {
            ui::say_plainly(&error);
            return ExitCode::from(failure);
        }
    };
    let done = inherited.and_then(|inherited| commands::run(cli, inherited, &ui));
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            ui.error(&error);
            ExitCode::from(failure)
        }
    }
}
