//! Commands and flags of docker compose that naru does not have yet. They are refused by name, so that
//! nobody takes them for a typing error, and never ignored.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Commands of docker compose without a counterpart here yet.
const COMMANDS: [&str; 19] = [
    "alpha",
    "bridge",
    "build",
    "commit",
    "cp",
    "events",
    "export",
    "images",
    "pause",
    "port",
    "publish",
    "pull",
    "push",
    "stats",
    "top",
    "unpause",
    "volumes",
    "watch",
    "container",
];

/// Flags of docker compose by command; the first are those before the command.
const FLAGS: [(&str, &[&str]); 5] = [
    ("", &["--verbose", "--no-ansi"]),
    ("up", &["--build", "--menu", "--quiet-build", "--watch", "-w"]),
    ("run", &["--build", "--quiet-build"]),
    ("down", &["--rmi"]),
    ("exec", &["--detach-keys"]),
];

/// What to say when `error` is about something that docker compose has and naru has not.
pub(crate) fn known(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let command = text(ContextKind::InvalidSubcommand)?;
            COMMANDS.contains(&command).then(|| format!("`{command}` is not possible yet"))
        }
        ErrorKind::UnknownArgument => {
            let flag = text(ContextKind::InvalidArg)?;
            let flag = flag.split_once('=').map_or(flag, |(flag, _value)| flag);
            let position = arguments.iter().position(|argument| is(argument, flag))?;
            let before = &arguments[..position];
            let (command, _flags) = FLAGS.iter().rev().find(|(command, flags)| {
                let is_given = before.iter().any(|argument| argument == command);
                flags.contains(&flag) && (command.is_empty() || is_given)
            })?;
            let place = if command.is_empty() { "" } else { " " };
            Some(format!("`{command}{place}{flag}` is not possible yet"))
        }
        _ => None,
    }
}

/// Whether `argument` is the flag, with or without a value.
fn is(argument: &OsStr, flag: &str) -> bool {
    let rest = argument.as_encoded_bytes().strip_prefix(flag.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"=") || !flag.starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(line: &str) -> Option<String> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = crate::arguments::parse_error(&arguments);
        known(&error, &arguments)
    }

    #[test]
    fn what_docker_compose_has_is_refused_by_name() {
        let cases = [
            ("naru build", "`build` is not possible yet"),
            ("naru compose watch", "`watch` is not possible yet"),
            ("naru run --build web", "`run --build` is not possible yet"),
            ("naru up --build", "`up --build` is not possible yet"),
            ("naru down --rmi=all", "`down --rmi` is not possible yet"),
            ("naru --verbose up", "`--verbose` is not possible yet"),
        ];
        for (line, expected) in cases {
            assert_eq!(message(line).as_deref(), Some(expected), "{line}");
        }
        assert_eq!(message("naru up --bulid"), None);
        assert_eq!(message("naru upp"), None);
    }
}
