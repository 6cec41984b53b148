//! The health check of a container: the service's, with what it leaves open taken from the image's.

use std::time::Duration;

use naru_compose::project::{Period, Service};
use naru_plan::health::Settings;

use super::{Error, Image};

/// A health check to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The command line of a probe; exit code 0 is healthy.
    pub command: Vec<String>,
    /// Times and counts.
    pub settings: Settings,
}

/// The health check of a service's containers, if they have one.
///
/// # Errors
/// When the test is not of a known form.
pub fn healthcheck(service: &Service, image: &Image<'_>) -> Result<Option<Check>, Error> {
    let own = service.healthcheck.clone().unwrap_or_default();
    let brought = image.healthcheck.cloned().unwrap_or_default();
    if own.disable {
        return Ok(None);
    }
    let test = if own.test.is_empty() { &brought.test } else { &own.test };
    let Some(command) = command(test, image)? else { return Ok(None) };

    let default = Settings::default();
    let pick = |own: Option<Period>, brought: Option<Duration>, default: Duration| {
        let own = own.map(Period::duration).filter(|time| !time.is_zero());
        own.or(brought).unwrap_or(default)
    };
    let retries = own.retries.filter(|&count| count > 0);
    let retries = retries.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let settings = Settings {
        interval: pick(own.interval, brought.interval, default.interval),
        timeout: pick(own.timeout, brought.timeout, default.timeout),
        start_period: pick(own.start_period, brought.start_period, default.start_period),
        start_interval: pick(own.start_interval, brought.start_interval, default.start_interval),
        retries: retries.or(brought.retries.filter(|&count| count > 0)).unwrap_or(default.retries),
    };
    Ok(Some(Check { command, settings }))
}

/// The command line of a probe; none when the test is `NONE` or absent.
fn command(test: &[String], image: &Image<'_>) -> Result<Option<Vec<String>>, Error> {
    match test {
        [] => Ok(None),
        [word, ..] if word == "NONE" => Ok(None),
        [word, rest @ ..] if word == "CMD" && !rest.is_empty() => Ok(Some(rest.to_vec())),
        [word, line] if word == "CMD-SHELL" => {
            let shell = image.shell.filter(|shell| !shell.is_empty());
            let mut command = shell
                .map_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()], <[String]>::to_vec);
            command.push(line.clone());
            Ok(Some(command))
        }
        _ => Err(Error::invalid(
            "healthcheck.test",
            "is not NONE, CMD with a program, or CMD-SHELL with a line",
        )),
    }
}
