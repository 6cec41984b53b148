//! Policies written as one word with an optional argument: restarting and pulling.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use super::Period;

/// When a container that ended is started again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Never; the default.
    #[default]
    No,
    /// Always, also after the machine or naru was restarted.
    Always,
    /// After a failure, at most this many times in a row; without a number for ever.
    OnFailure(Option<u32>),
    /// Always, except after it was stopped by hand.
    UnlessStopped,
    /// A word that means nothing; refused when the service is started.
    Other(String),
}

impl FromStr for RestartPolicy {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "no" => Self::No,
            "always" => Self::Always,
            "on-failure" => Self::OnFailure(None),
            "unless-stopped" => Self::UnlessStopped,
            _ => match text.strip_prefix("on-failure:").map(str::parse) {
                Some(Ok(attempts)) => Self::OnFailure(Some(attempts)),
                _ => Self::Other(text.to_owned()),
            },
        })
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::OnFailure(None) => f.write_str("on-failure"),
            Self::OnFailure(Some(attempts)) => write!(f, "on-failure:{attempts}"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// When an image is looked for in its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// Never: the image has to be present.
    Never,
    /// When the image is not present; also written `if_not_present`.
    Missing,
    /// Not at all: the image is built.
    Build,
    /// When the last look was longer ago than this; `daily` and `weekly` are such periods.
    Every(Period, String),
    /// When the period in `pull_refresh_after` has passed.
    Refresh,
    /// A word that means nothing; the loader refuses it.
    Other(String),
}

impl FromStr for PullPolicy {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let period = match text {
            "always" => return Ok(Self::Always),
            "never" => return Ok(Self::Never),
            "missing" | "if_not_present" => return Ok(Self::Missing),
            "build" => return Ok(Self::Build),
            "refresh" => return Ok(Self::Refresh),
            "daily" => Some("1d"),
            "weekly" => Some("1w"),
            _ => text.strip_prefix("every_"),
        };
        Ok(match period.map(str::parse) {
            Some(Ok(period)) => Self::Every(period, text.to_owned()),
            _ => Self::Other(text.to_owned()),
        })
    }
}

impl fmt::Display for PullPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Missing => "missing",
            Self::Build => "build",
            Self::Refresh => "refresh",
            Self::Every(_, text) | Self::Other(text) => text,
        })
    }
}

/// Serde by way of the printed word.
macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    )*};
}
pub(super) use as_text;

as_text!(RestartPolicy, PullPolicy);
