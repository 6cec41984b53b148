//! `naru version`.

use crate::error::CommandError;
use crate::ui::Printer;

/// Show the version
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Format the output: pretty or json
    #[arg(short, long, value_name = "FORMAT", default_value = "pretty", value_parser = ["pretty", "json"])]
    format: String,
    /// Show only the version's number
    #[arg(long)]
    short: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, printer: &Printer) -> Result<u8, CommandError> {
    let version = env!("CARGO_PKG_VERSION");
    let text = match (args.short, args.format.as_str()) {
        (true, _) => version.to_owned(),
        (false, "json") => serde_json::json!({ "version": version }).to_string(),
        (false, _) => format!("naru version {version}"),
    };
    printer.data_line(&text)?;
    Ok(0)
}
