//! The variables by which docker compose is configured: what naru makes of each. None is ignored in
//! silence: it is honoured or noted by name.
//!
//! | variable | what becomes of it |
//! |---|---|
//! | `COMPOSE_FILE`, `COMPOSE_PATH_SEPARATOR`, `COMPOSE_PROJECT_NAME`, `COMPOSE_PROFILES`, `COMPOSE_ENV_FILES`, `COMPOSE_DISABLE_ENV_FILE` | the loader honours it |
//! | `COMPOSE_ANSI`, `COMPOSE_PROGRESS`, `NO_COLOR` | honoured as the flag of the same name |
//! | `COMPOSE_STATUS_STDOUT` | progress goes to stdout |
//! | `COMPOSE_COMPATIBILITY` | the loader honours it: `_` between the parts of names |
//! | `COMPOSE_REMOVE_ORPHANS` | `up` and `down` honour it |
//! | `COMPOSE_IGNORE_ORPHANS` | `up` honours it |
//! | the rest | [`check`] notes it |
//!
//! They count in `.env` as well, as in docker compose.

use std::collections::BTreeMap;

use clap::ValueEnum;

use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::{Ansi, ProgressMode};

/// Variables that have a meaning for docker compose and change nothing that naru does, with the reason.
const NOTED: &[(&str, &str)] = &[
    ("COMPOSE_BAKE", "there is no bake to leave the building to"),
    (
        "COMPOSE_CONVERT_WINDOWS_PATHS",
        "paths of Windows stay as they are, as with docker compose on Linux",
    ),
    ("COMPOSE_EXPERIMENTAL", "nothing is experimental"),
    (
        "COMPOSE_EXPERIMENTAL_GIT_REMOTE",
        "Compose files in git repositories are refused where they are named",
    ),
    (
        "COMPOSE_EXPERIMENTAL_OCI_REMOTE",
        "Compose files in registries are refused where they are named",
    ),
    ("COMPOSE_MENU", "there is no menu below the output of `up`"),
    ("COMPOSE_PARALLEL_LIMIT", AT_ONCE),
    ("BUILDKIT_PROGRESS", "there is no BuildKit"),
];

const AT_ONCE: &str = "naru does at once whatever does not depend on each other";

/// The notes on variables and flags that are set and change nothing.
///
/// # Errors
/// When a variable has a value that means nothing.
pub(crate) fn check(settings: &Settings) -> Result<Vec<String>, CommandError> {
    let mut notes = notes(settings.configuration())?;
    if settings.has_parallel_limit() {
        notes.push(format!("--parallel changes nothing: {AT_ONCE}"));
    }
    Ok(notes)
}

fn notes(environment: &BTreeMap<String, String>) -> Result<Vec<String>, CommandError> {
    words::<Ansi>(environment, "COMPOSE_ANSI")?;
    words::<ProgressMode>(environment, "COMPOSE_PROGRESS")?;
    platform(environment)?;
    let is_on = |name: &str| environment.get(name).is_some_and(|value| !is_off(value));
    let on = NOTED.iter().filter(|(name, _)| is_on(name));
    Ok(on.map(|(name, reason)| format!("{name} changes nothing: {reason}")).collect())
}

/// Whether the value of a variable switches something on.
pub(crate) fn is_yes(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    ["1", "t", "true", "y", "yes", "on"].contains(&value.as_str())
}

/// Whether a variable is set to nothing, or to a word that means no.
fn is_off(value: &str) -> bool {
    ["", "0", "f", "false", "n", "no", "off", "-1"].contains(&value.to_ascii_lowercase().as_str())
}

fn words<T: ValueEnum>(
    environment: &BTreeMap<String, String>,
    name: &str,
) -> Result<(), CommandError> {
    let Some(value) = environment.get(name).filter(|value| !value.is_empty()) else {
        return Ok(());
    };
    if T::from_str(value, true).is_ok() {
        return Ok(());
    }
    let known = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let known: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
    let what = format!("{name}: `{value}` is not one of {}", known.join(", "));
    Err(CommandError::user(what))
}

/// `DOCKER_DEFAULT_PLATFORM` may only say what is so anyway.
fn platform(environment: &BTreeMap<String, String>) -> Result<(), CommandError> {
    let name = "DOCKER_DEFAULT_PLATFORM";
    let own = naru_image::this_platform();
    match environment.get(name).filter(|value| !value.is_empty()) {
        Some(value) if *value != own && own.split('/').nth(1) != Some(value.as_str()) => {
            let what = format!("{name} is `{value}`, and this machine's platform is {own}");
            Err(CommandError::user(what).hint(format!("unset {name}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, value: &str) -> String {
        let environment = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        match notes(&environment) {
            Ok(notes) => notes.join("\n"),
            Err(error) => format!("error: {error:?}"),
        }
    }

    #[test]
    fn variables_that_change_nothing_are_noted_by_name() {
        for name in [
            "COMPOSE_BAKE",
            "COMPOSE_CONVERT_WINDOWS_PATHS",
            "COMPOSE_EXPERIMENTAL",
            "COMPOSE_EXPERIMENTAL_GIT_REMOTE",
            "COMPOSE_EXPERIMENTAL_OCI_REMOTE",
            "COMPOSE_MENU",
            "COMPOSE_PARALLEL_LIMIT",
            "BUILDKIT_PROGRESS",
        ] {
            assert!(result(name, "1").starts_with(&format!("{name} changes nothing: ")), "{name}");
            assert_eq!(result(name, "false"), "", "{name}");
        }
    }

    #[test]
    fn another_platform_is_refused_by_name() {
        assert!(result("DOCKER_DEFAULT_PLATFORM", "linux/mips").contains("linux/mips"));
        assert_eq!(result("DOCKER_DEFAULT_PLATFORM", &naru_image::this_platform()), "");
    }

    #[test]
    fn words_for_yes_are_those_of_docker_compose() {
        assert!(["1", "t", "TRUE", " yes", "on", "Y"].into_iter().all(is_yes));
        assert!(!["", "0", "f", "false", "no", "off", "2"].into_iter().any(is_yes));
    }

    #[test]
    fn ansi_and_progress_take_the_words_of_their_flags() {
        assert_eq!(result("COMPOSE_ANSI", "never"), "");
        assert_eq!(result("COMPOSE_PROGRESS", "plain"), "");
        assert!(result("COMPOSE_ANSI", "maybe").contains("not one of never, always, auto"));
        assert!(result("COMPOSE_PROGRESS", "slow").contains("COMPOSE_PROGRESS"));
    }
}
