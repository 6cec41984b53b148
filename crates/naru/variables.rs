//! The variables by which docker compose is configured: what naru makes of each. None is ignored in
//! silence: it is honoured, noted, or refused by name.
//!
//! | variable | what becomes of it |
//! |---|---|
//! | `COMPOSE_FILE`, `COMPOSE_PATH_SEPARATOR`, `COMPOSE_PROJECT_NAME`, `COMPOSE_PROFILES`, `COMPOSE_ENV_FILES`, `COMPOSE_DISABLE_ENV_FILE` | the loader honours it |
//! | `COMPOSE_ANSI`, `COMPOSE_PROGRESS`, `NO_COLOR` | honoured as the flag of the same name |
//! | `COMPOSE_REMOVE_ORPHANS`, `COMPOSE_IGNORE_ORPHANS` | `up` honours it |
//! | the rest | [`check`] notes or refuses it |

use std::collections::BTreeMap;

use clap::ValueEnum;

use crate::error::CommandError;
use crate::ui::{Ansi, ProgressMode};

/// What becomes of a variable that is switched on.
enum Fate {
    /// It changes nothing that naru does; with the reason.
    Noted(&'static str),
    /// It would have to change something that naru cannot do yet; with the reason.
    Refused(&'static str),
}

use Fate::{Noted, Refused};

/// Variables that have a meaning for docker compose and none, or none yet, for naru.
const REST: &[(&str, Fate)] = &[
    ("COMPOSE_BAKE", Noted("there is no bake to leave the building to")),
    (
        "COMPOSE_COMPATIBILITY",
        Refused("containers cannot be named with underscores as by docker-compose 1 yet"),
    ),
    ("COMPOSE_CONVERT_WINDOWS_PATHS", Refused("paths of Windows are not converted yet")),
    ("COMPOSE_EXPERIMENTAL", Noted("nothing is experimental")),
    (
        "COMPOSE_EXPERIMENTAL_GIT_REMOTE",
        Noted("Compose files in git repositories are refused where they are named"),
    ),
    (
        "COMPOSE_EXPERIMENTAL_OCI_REMOTE",
        Noted("Compose files in registries are refused where they are named"),
    ),
    ("COMPOSE_MENU", Noted("there is no menu below the output of `up`")),
    ("COMPOSE_PARALLEL_LIMIT", Noted("naru does at once whatever does not depend on each other")),
    ("COMPOSE_STATUS_STDOUT", Refused("progress can only go to stderr yet")),
    ("BUILDKIT_PROGRESS", Noted("there is no BuildKit")),
];

/// The notes on variables that are set and change nothing.
///
/// # Errors
/// When a variable is set that naru cannot honour, or has a value that means nothing.
pub(crate) fn check(environment: &BTreeMap<String, String>) -> Result<Vec<String>, CommandError> {
    words::<Ansi>(environment, "COMPOSE_ANSI")?;
    words::<ProgressMode>(environment, "COMPOSE_PROGRESS")?;
    platform(environment)?;
    let mut notes = Vec::new();
    for (name, fate) in REST {
        match (fate, environment.get(*name).filter(|value| !is_off(value))) {
            (_, None) => {}
            (Noted(reason), Some(_)) => notes.push(format!("{name} changes nothing: {reason}")),
            (Refused(reason), Some(_)) => {
                let error = CommandError::user(format!("{name} is not possible yet: {reason}"));
                return Err(error.hint(format!("unset {name}")));
            }
        }
    }
    Ok(notes)
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
        match check(&environment) {
            Ok(notes) => notes.join("\n"),
            Err(error) => format!("error: {error:?}"),
        }
    }

    #[test]
    fn variables_that_change_nothing_are_noted_by_name() {
        for name in [
            "COMPOSE_BAKE",
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
    fn variables_that_cannot_be_honoured_are_refused_by_name() {
        for name in
            ["COMPOSE_COMPATIBILITY", "COMPOSE_CONVERT_WINDOWS_PATHS", "COMPOSE_STATUS_STDOUT"]
        {
            let found = result(name, "true");
            assert!(found.contains(&format!("{name} is not possible yet")), "{found}");
            assert_eq!(result(name, "0"), "", "{name}");
        }
        assert!(result("DOCKER_DEFAULT_PLATFORM", "linux/mips").contains("linux/mips"));
        assert_eq!(result("DOCKER_DEFAULT_PLATFORM", &naru_image::this_platform()), "");
    }

    #[test]
    fn ansi_and_progress_take_the_words_of_their_flags() {
        assert_eq!(result("COMPOSE_ANSI", "never"), "");
        assert_eq!(result("COMPOSE_PROGRESS", "plain"), "");
        assert!(result("COMPOSE_ANSI", "maybe").contains("not one of never, always, auto"));
        assert!(result("COMPOSE_PROGRESS", "slow").contains("COMPOSE_PROGRESS"));
    }
}
