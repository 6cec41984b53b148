//! `x-naru-*` attributes of a service: what naru does and the Compose Specification has no word for. They stay
//! `x-*` attributes of the [`Service`], as they are printed and handed on; here is what they mean.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Period, Service};

/// The attribute that says when a service is ready.
pub const READY: &str = "x-naru-ready";
/// The attribute that says how a service is restarted.
pub const RESTART: &str = "x-naru-restart";

/// What is wrong with a value of an `x-naru-*` attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExtensionError {
    /// The attribute.
    pub attribute: &'static str,
    /// The key in it; empty for the attribute itself.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What can be done.
    pub hint: &'static str,
}

/// `x-naru-ready`: what shows that a container of a service is ready, in place of a health check or on top of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// What shows it.
    pub sign: Sign,
    /// How long after the start it counts as unhealthy when it is not ready; never when absent.
    pub timeout: Option<Duration>,
}

/// What shows that a container is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// A TCP port takes connections.
    Tcp(Address),
    /// A GET of this path is answered with a status from 200 to 399.
    Http(Address, String),
    /// A line of the container's output matches this regular expression.
    Log(String),
}

/// A port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// An address in the container's network namespace; absent for the container's own in its networks, or
    /// 127.0.0.1 where it has none.
    pub host: Option<IpAddr>,
    /// The port, never 0.
    pub port: u16,
}

/// `x-naru-restart`: how a service is restarted, beside what `restart` says about when. What is absent is as Docker
/// does it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestartRules {
    /// Delay before the first restart; 100 ms when absent.
    pub first_delay: Option<Duration>,
    /// The longest delay; a minute when absent.
    pub longest_delay: Option<Duration>,
    /// What the delay is multiplied with for each restart in a row; 2 when absent.
    pub factor: Option<f64>,
    /// Running this long ends a row; 10 s when absent.
    pub reset_after: Option<Duration>,
    /// Restarts in a row after which it stays down; no limit when absent.
    pub max_attempts: Option<u64>,
    /// Whether a container that becomes unhealthy is ended and started again, whatever `restart` says.
    pub on_unhealthy: bool,
}

impl Service {
    /// What `x-naru-ready` says.
    ///
    /// # Errors
    /// When it says nothing that could be looked at; the loader refuses that.
    pub fn ready(&self) -> Result<Option<Ready>, ExtensionError> {
        self.extensions.get(READY).filter(|value| !value.is_null()).map(ready).transpose()
    }

    /// What `x-naru-restart` says.
    ///
    /// # Errors
    /// When a value of it makes no sense; the loader refuses that.
    pub fn restart_rules(&self) -> Result<RestartRules, ExtensionError> {
        let map = self.extensions.get(RESTART).and_then(Value::as_object);
        map.map_or_else(|| Ok(RestartRules::default()), rules)
    }
}

fn ready(value: &Value) -> Result<Ready, ExtensionError> {
    let mut written = Map::new();
    let map = match value {
        Value::Object(map) => map,
        Value::String(text) => {
            let (kind, sign) = text.split_once(':').unwrap_or((text, ""));
            written.insert(kind.to_owned(), Value::from(sign));
            &written
        }
        _ => &written,
    };
    let given = |key: &str| map.get(key).map(text_of).filter(|text| !text.is_empty());
    let sign = match (given("tcp"), given("http"), given("log")) {
        (Some(address), None, None) => Sign::Tcp(tcp(&address)?),
        (None, Some(url), None) => http(&url)?,
        (None, None, Some(pattern)) => log(pattern)?,
        _ => {
            return Err(ExtensionError {
                attribute: READY,
                key: "",
                message: "a service is ready by exactly one of `tcp`, `http` and `log`".to_owned(),
                hint: "write `{tcp: 5432}`, `{http: \":3000/health\"}` or `{log: \"ready to accept\"}`",
            });
        }
    };
    let timeout = period(map, READY, "timeout")?;
    Ok(Ready { sign, timeout })
}

fn tcp(text: &str) -> Result<Address, ExtensionError> {
    address(text).ok_or_else(|| ExtensionError {
        attribute: READY,
        key: "tcp",
        message: format!("`{text}` is not a port, or an address and a port"),
        hint: "write a port of the container such as 5432, or 127.0.0.1:5432",
    })
}

fn http(text: &str) -> Result<Sign, ExtensionError> {
    let url = text.strip_prefix("http://").unwrap_or(text);
    let (authority, path) = url.split_at(url.find('/').unwrap_or(url.len()));
    let port = authority.strip_prefix(':').unwrap_or(authority);
    let is_plain = path.chars().all(|c| c.is_ascii_graphic());
    match address(port).filter(|_| is_plain) {
        Some(address) => {
            let path = if path.is_empty() { "/" } else { path };
            Ok(Sign::Http(address, path.to_owned()))
        }
        None => Err(ExtensionError {
            attribute: READY,
            key: "http",
            message: format!("`{text}` is not a port and a path"),
            hint: "write a port of the container and a path: \":3000/health\"",
        }),
    }
}

fn log(pattern: String) -> Result<Sign, ExtensionError> {
    match regex::bytes::Regex::new(&pattern) {
        Ok(_) => Ok(Sign::Log(pattern)),
        Err(error) => {
            let last = error.to_string().lines().last().unwrap_or_default().to_owned();
            let why = last.strip_prefix("error: ").unwrap_or(&last);
            Err(ExtensionError {
                attribute: READY,
                key: "log",
                message: format!("`{pattern}` is not a regular expression: {why}"),
                hint: "put a \\ before each character that is meant as itself, such as \\( and \\[",
            })
        }
    }
}

/// `5432`, `127.0.0.1:5432`, `[::1]:5432` or `localhost:5432`.
fn address(text: &str) -> Option<Address> {
    let (host, port) = match text.rsplit_once(':') {
        None => (None, text),
        Some(("localhost", port)) => (Some(Ipv4Addr::LOCALHOST.into()), port),
        Some((host, port)) => {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            (Some(inner.unwrap_or(host).parse().ok()?), port)
        }
    };
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|&port| is_number && port > 0)?;
    Some(Address { host, port })
}

fn rules(map: &Map<String, Value>) -> Result<RestartRules, ExtensionError> {
    let empty = Map::new();
    let backoff = map.get("backoff").and_then(Value::as_object).unwrap_or(&empty);
    let rules = RestartRules {
        first_delay: period(backoff, RESTART, "min")?,
        longest_delay: period(backoff, RESTART, "max")?,
        factor: backoff.get("factor").and_then(Value::as_f64),
        reset_after: period(map, RESTART, "reset_after")?,
        max_attempts: map.get("max_attempts").and_then(Value::as_u64),
        on_unhealthy: map.get("on_unhealthy").and_then(Value::as_bool).unwrap_or_default(),
    };
    let wrong = |key, message: &str, hint| {
        Err(ExtensionError { attribute: RESTART, key, message: message.to_owned(), hint })
    };
    if rules.factor.is_some_and(|factor| factor < 1.0) {
        return wrong("backoff", "`factor` is less than 1", "1 keeps the delay, 2 doubles it");
    }
    let longest = rules.longest_delay.unwrap_or(Duration::from_secs(60));
    if rules.first_delay.is_some_and(|first| first > longest) {
        return wrong("backoff", "`min` is more than `max`", "`max` is a minute when it is absent");
    }
    if map.get("max_attempts").is_some_and(|value| value.as_i64().is_some_and(|most| most < 0)) {
        return wrong("max_attempts", "it is less than 0", "leave it out for no limit");
    }
    Ok(rules)
}

fn period(
    map: &Map<String, Value>,
    attribute: &'static str,
    key: &'static str,
) -> Result<Option<Duration>, ExtensionError> {
    let Some(text) = map.get(key).map(text_of) else { return Ok(None) };
    match text.parse::<Period>() {
        Ok(period) if !period.is_negative() => Ok(Some(period.duration())),
        _ => {
            let message = format!("`{text}` is not a length of time for `{key}`");
            let key = if matches!(key, "min" | "max") { "backoff" } else { key };
            Err(ExtensionError { attribute, key, message, hint: "write one such as 30s" })
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(attribute: &str, value: Value) -> Service {
        let extensions = [(attribute.to_owned(), value)].into();
        Service { extensions, ..Service::default() }
    }

    fn sign(value: Value) -> Result<Sign, String> {
        let ready = service(READY, value).ready().map_err(|error| error.to_string())?;
        Ok(ready.unwrap().sign)
    }

    fn own(port: u16) -> Address {
        Address { host: None, port }
    }

    #[test]
    fn a_sign_is_a_port_a_path_or_a_line() {
        let local = Address { host: Some(IpAddr::from([127, 0, 0, 1])), port: 80 };
        let six = Address { host: Some("::1".parse().unwrap()), port: 80 };
        let http = |address, path: &str| Sign::Http(address, path.to_owned());
        for (value, expected) in [
            (json!({"tcp": 5432}), Sign::Tcp(own(5432))),
            (json!({"tcp": "5432"}), Sign::Tcp(own(5432))),
            (json!("tcp:5432"), Sign::Tcp(own(5432))),
            (json!({"tcp": "127.0.0.1:80"}), Sign::Tcp(local)),
            (json!({"tcp": "localhost:80"}), Sign::Tcp(local)),
            (json!({"tcp": "[::1]:80"}), Sign::Tcp(six)),
            (json!({"http": ":3000/health"}), http(own(3000), "/health")),
            (json!({"http": "3000"}), http(own(3000), "/")),
            (json!("http::3000/a?b=c"), http(own(3000), "/a?b=c")),
            (json!({"http": "http://127.0.0.1:80/x"}), http(local, "/x")),
            (json!({"log": "ready to accept"}), Sign::Log("ready to accept".to_owned())),
        ] {
            assert_eq!(sign(value.clone()), Ok(expected), "{value}");
        }
        assert_eq!(service(READY, Value::Null).ready(), Ok(None));
        assert_eq!(Service::default().ready(), Ok(None));
    }

    #[test]
    fn what_is_no_sign_is_refused_by_its_key() {
        for (value, key) in [
            (json!({}), ""),
            (json!("5432"), ""),
            (json!({"tcp": 1, "log": "x"}), ""),
            (json!({"tcp": 0}), "tcp"),
            (json!({"tcp": 65536}), "tcp"),
            (json!({"tcp": "+80"}), "tcp"),
            (json!({"tcp": "db:5432"}), "tcp"),
            (json!({"http": "/health"}), "http"),
            (json!({"http": "https://x"}), "http"),
            (json!({"http": ":80/a b"}), "http"),
            (json!({"log": "ready (now"}), "log"),
            (json!({"tcp": 1, "timeout": "-1s"}), "timeout"),
        ] {
            let error = service(READY, value.clone()).ready().unwrap_err();
            assert_eq!(error.key, key, "{value}: {error}");
        }
        let error = sign(json!({"log": "ready (now"})).unwrap_err();
        assert_eq!(error, "`ready (now` is not a regular expression: unclosed group");
    }

    #[test]
    fn restart_rules_are_dockers_where_they_say_nothing() {
        assert_eq!(Service::default().restart_rules(), Ok(RestartRules::default()));
        let value = json!({
            "backoff": {"min": "50ms", "max": "5s", "factor": 1.5}, "reset_after": "1m",
            "max_attempts": 7, "on_unhealthy": true
        });
        let rules = RestartRules {
            first_delay: Some(Duration::from_millis(50)),
            longest_delay: Some(Duration::from_secs(5)),
            factor: Some(1.5),
            reset_after: Some(Duration::from_secs(60)),
            max_attempts: Some(7),
            on_unhealthy: true,
        };
        assert_eq!(service(RESTART, value).restart_rules(), Ok(rules));
        for (value, key) in [
            (json!({"backoff": {"factor": 0.5}}), "backoff"),
            (json!({"backoff": {"min": "2m"}}), "backoff"),
            (json!({"backoff": {"max": "-1s"}}), "backoff"),
            (json!({"max_attempts": -1}), "max_attempts"),
        ] {
            let error = service(RESTART, value.clone()).restart_rules().unwrap_err();
            assert_eq!(error.key, key, "{value}");
        }
    }
}
