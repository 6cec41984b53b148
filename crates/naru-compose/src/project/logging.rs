//! What a logging driver and its options ask for.
//!
//! naru writes every container's output to its own log; `json-file` and `local` say how much of it is kept, and
//! `syslog` and `journald` send it on as well. The options and their defaults are Docker's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Logging, Service};

/// The facility `daemon`.
const DAEMON: u8 = 3;

/// Facilities of syslog by name, in the order of their codes (RFC 5424, table 1); 12 to 15 have none.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// Options that every driver takes.
const COMMON: &[&str] = &["mode", "max-buffer-size"];
const FILES: &[&str] = &["max-size", "max-file", "compress"];
const ATTRIBUTES: &[&str] = &["labels", "labels-regex", "env", "env-regex", "tag"];
const CACHE: &[&str] = &["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const SYSLOG: &[&str] = &[
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
];

/// The attribute of a service that puts its two streams together.
const OUTPUT: &str = "x-naru-output";

/// What is not possible about a service's `logging`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoggingError {
    /// The option; absent when it is the driver.
    pub option: Option<String>,
    message: String,
}

/// How much is kept, and where it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The driver.
    pub driver: LogDriver,
    /// Bytes of one file, where that was said.
    pub max_size: Option<u64>,
    /// How many files, where that was said.
    pub max_file: Option<u64>,
    /// The output is thrown away when it cannot be written, rather than the container kept waiting.
    pub drops: bool,
    /// Nothing is kept for `logs`.
    pub passing: bool,
    /// The template that names the container.
    pub tag: Option<String>,
    /// Labels that are added to each line.
    pub labels: Vec<String>,
    /// Environment variables that are.
    pub env: Vec<String>,
}

/// A logging driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogDriver {
    /// Docker's default.
    JsonFile,
    /// Docker's other file driver.
    Local,
    /// Nothing is kept.
    None,
    /// A syslog server.
    Syslog(Syslog),
    /// The journal of systemd.
    Journald,
}

/// Where and how messages go to a syslog server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// The server.
    pub address: SyslogAddress,
    /// Code of the facility, 0 to 23.
    pub facility: u8,
    /// Form of a message.
    pub format: SyslogFormat,
}

/// A syslog server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// The machine's own.
    Local,
    /// A Unix stream socket.
    Unix(PathBuf),
    /// A Unix datagram socket.
    Unixgram(PathBuf),
    /// Host and port.
    Udp(String, u16),
    /// Host and port.
    Tcp(String, u16),
}

/// Form of a syslog message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogFormat {
    /// The local form: RFC 3164 without the host's name.
    Unix,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424, to the second.
    Rfc5424,
    /// RFC 5424, to the microsecond.
    Rfc5424Micro,
}

impl Service {
    /// Whether its standard error goes where its standard output goes (`x-naru-output: merged`).
    pub fn merges_output(&self) -> bool {
        self.extensions.get(OUTPUT).is_some_and(|value| value == "merged")
    }
}

impl Logging {
    /// What driver and options ask for.
    ///
    /// # Errors
    /// With the first thing that is wrong, or that naru cannot do.
    pub fn settings(&self) -> Result<LogSettings, LoggingError> {
        let options = Options(&self.options);
        let driver = match self.driver.as_str() {
            "" | "json-file" => LogDriver::JsonFile,
            "local" => LogDriver::Local,
            "none" => LogDriver::None,
            "syslog" => LogDriver::Syslog(syslog(&options)?),
            "journald" => LogDriver::Journald,
            other => {
                let message = format!("the logging driver `{other}` is not possible yet");
                return Err(LoggingError { option: None, message });
            }
        };
        options.check(&driver)?;
        let (size, file, compress) = match driver {
            LogDriver::JsonFile | LogDriver::Local => ("max-size", "max-file", "compress"),
            _ => ("cache-max-size", "cache-max-file", "cache-compress"),
        };
        options.boolean(compress)?;
        let settings = LogSettings {
            max_size: options.size(size)?,
            max_file: options.count(file)?,
            drops: options.drops()?,
            passing: driver == LogDriver::None || options.boolean("cache-disabled")?,
            tag: options.tag()?,
            labels: options.list("labels"),
            env: options.list("env"),
            driver,
        };
        options.size("max-buffer-size")?;
        Ok(settings)
    }
}

struct Options<'a>(&'a BTreeMap<String, String>);

impl Options<'_> {
    /// Refuses what the driver does not know; Docker does not look at the options of `none`.
    fn check(&self, driver: &LogDriver) -> Result<(), LoggingError> {
        let (name, known): (_, &[&[&str]]) = match driver {
            LogDriver::None => return Ok(()),
            LogDriver::JsonFile => ("json-file", &[COMMON, FILES, ATTRIBUTES]),
            LogDriver::Local => ("local", &[COMMON, FILES]),
            LogDriver::Syslog(_) => ("syslog", &[COMMON, ATTRIBUTES, CACHE, SYSLOG]),
            LogDriver::Journald => ("journald", &[COMMON, ATTRIBUTES, CACHE]),
        };
        for option in self.0.keys() {
            if !known.iter().any(|known| known.contains(&option.as_str())) {
                let text = format!("the logging driver `{name}` has no option `{option}`");
                return Err(wrong(option, text));
            }
            if option.ends_with("-regex") || option.starts_with("syslog-tls-") {
                return Err(wrong(option, format!("the option `{option}` is not possible yet")));
            }
        }
        Ok(())
    }

    fn get(&self, option: &str) -> Option<&str> {
        self.0.get(option).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn boolean(&self, option: &str) -> Result<bool, LoggingError> {
        match self.get(option) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(value) => Err(wrong(option, format!("`{value}` is neither true nor false"))),
        }
    }

    fn count(&self, option: &str) -> Result<Option<u64>, LoggingError> {
        let parse = |value: &str| {
            let count = value.parse().ok().filter(|&count| count > 0);
            count.ok_or_else(|| wrong(option, format!("`{value}` is not a number of files")))
        };
        self.get(option).map(parse).transpose()
    }

    fn size(&self, option: &str) -> Result<Option<u64>, LoggingError> {
        let parse = |value: &str| {
            let wrong = || wrong(option, format!("`{value}` is not a size such as 10m"));
            size(value).filter(|&size| size > 0).ok_or_else(wrong)
        };
        self.get(option).map(parse).transpose()
    }

    fn drops(&self) -> Result<bool, LoggingError> {
        match self.get("mode") {
            None | Some("blocking") => Ok(false),
            Some("non-blocking") => Ok(true),
            Some(mode) => {
                Err(wrong("mode", format!("`{mode}` is neither `blocking` nor `non-blocking`")))
            }
        }
    }

    fn list(&self, option: &str) -> Vec<String> {
        let names = self.get(option).into_iter().flat_map(|value| value.split(','));
        names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn tag(&self) -> Result<Option<String>, LoggingError> {
        let Some(tag) = self.get("tag") else { return Ok(None) };
        fill_tag(tag, |_| Some(String::new())).map_err(|message| wrong("tag", message))?;
        Ok(Some(tag.to_owned()))
    }
}

fn wrong(option: &str, message: String) -> LoggingError {
    LoggingError { option: Some(option.to_owned()), message }
}

/// Docker reads sizes in powers of 1000: `10m` is ten million bytes.
fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * 1000_f64.powi(power);
    // Not lossy for any size that a disk has.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    (bytes.is_finite() && (0.0..1e18).contains(&bytes)).then_some(bytes as u64)
}

fn syslog(options: &Options<'_>) -> Result<Syslog, LoggingError> {
    let address = options.get("syslog-address").map_or(Ok(SyslogAddress::Local), |text| {
        syslog_address(text).map_err(|message| wrong("syslog-address", message))
    })?;
    let facility = options.get("syslog-facility").map_or(Ok(DAEMON), |text| {
        let named = FACILITIES.iter().position(|&name| name == text);
        let code = text.parse().ok().filter(|&code: &usize| code < FACILITIES.len());
        let code = named.or(code).and_then(|code| u8::try_from(code).ok());
        code.ok_or_else(|| wrong("syslog-facility", format!("`{text}` is not a facility")))
    })?;
    let format = match options.get("syslog-format") {
        None => SyslogFormat::Unix,
        Some("rfc3164") => SyslogFormat::Rfc3164,
        Some("rfc5424") => SyslogFormat::Rfc5424,
        Some("rfc5424micro") => SyslogFormat::Rfc5424Micro,
        Some(other) => {
            let text = format!("`{other}` is not `rfc3164`, `rfc5424` or `rfc5424micro`");
            return Err(wrong("syslog-format", text));
        }
    };
    Ok(Syslog { address, facility, format })
}

fn syslog_address(text: &str) -> Result<SyslogAddress, String> {
    let not =
        || format!("`{text}` is not an address such as udp://192.0.2.1:514 or unixgram:///dev/log");
    let (scheme, rest) = text.split_once("://").ok_or_else(not)?;
    match scheme {
        "unix" if rest.starts_with('/') => Ok(SyslogAddress::Unix(rest.into())),
        "unixgram" if rest.starts_with('/') => Ok(SyslogAddress::Unixgram(rest.into())),
        "udp" | "tcp" => {
            let (host, port) = host_and_port(rest.trim_end_matches('/')).ok_or_else(not)?;
            Ok(match scheme {
                "udp" => SyslogAddress::Udp(host, port),
                _ => SyslogAddress::Tcp(host, port),
            })
        }
        "tcp+tls" => Err("syslog over TLS (`tcp+tls`) is not possible yet".to_owned()),
        _ => Err(not()),
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`; without a port it is syslog's.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Some(514), |port| port.parse().ok())?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// Fills in a tag: `{{.Name}}/{{.ID}}`. `field` gives the values of `ID`, `FullID`, `Name`, `ImageID`, `ImageFullID`,
/// `ImageName`, `DaemonName` and `Hostname`.
///
/// # Errors
/// With what of it is no field: other expressions of Docker's template language are not known.
pub fn fill_tag(tag: &str, field: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    const FIELDS: [&str; 8] =
        ["ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName", "Hostname"];
    let mut filled = String::new();
    let mut rest = tag;
    while let Some((text, after)) = rest.split_once("{{") {
        let (expression, after) =
            after.split_once("}}").ok_or_else(|| format!("`{tag}` has `{{{{` without `}}}}`"))?;
        let name = expression.trim().strip_prefix('.').filter(|name| FIELDS.contains(name));
        let value = name.and_then(&field).ok_or_else(|| {
            format!("`{{{{{expression}}}}}` is not one of the fields that a tag can have")
        })?;
        filled.push_str(text);
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(driver: &str, options: &[(&str, &str)]) -> Result<LogSettings, LoggingError> {
        let options = options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let logging =
            Logging { driver: driver.to_owned(), options: options.collect(), ..Logging::default() };
        logging.settings()
    }

    fn refusal(driver: &str, option: &str, value: &str) -> String {
        let error = settings(driver, &[(option, value)]).unwrap_err();
        assert_eq!(error.option.as_deref(), Some(option));
        error.to_string()
    }

    #[test]
    fn sizes_and_counts_are_read_as_docker_reads_them() {
        let found =
            settings("json-file", &[("max-size", "10m"), ("max-file", "3"), ("compress", "true")]);
        let found = found.unwrap();
        assert_eq!((found.max_size, found.max_file), (Some(10_000_000), Some(3)));
        assert_eq!(size("1.5GB"), Some(1_500_000_000));
        assert_eq!(size("20KiB"), Some(20_000));
        assert_eq!(size("512"), Some(512));
        for wrong in ["", "m", "10x", "-1", "1e3"] {
            assert_eq!(size(wrong).filter(|&size| size > 0), None, "{wrong}");
        }
        assert!(refusal("local", "max-file", "0").contains("`0`"));
        assert!(refusal("json-file", "max-size", "0").contains("`0`"));
        assert!(refusal("json-file", "compress", "maybe").contains("neither true nor false"));
        assert!(refusal("journald", "mode", "fast").contains("neither"));
    }

    #[test]
    fn each_driver_knows_its_own_options_and_the_others_are_refused_by_name() {
        assert!(refusal("local", "labels", "a").contains("`local` has no option `labels`"));
        assert!(refusal("json-file", "syslog-address", "udp://a").contains("no option"));
        assert!(refusal("syslog", "max-size", "1m").contains("no option"));
        assert!(refusal("json-file", "labels-regex", ".*").contains("not possible yet"));
        assert!(refusal("syslog", "syslog-tls-cert", "/c").contains("not possible yet"));
        assert!(settings("none", &[("anything", "goes")]).unwrap().passing);
        let error = settings("fluentd", &[]).unwrap_err();
        assert_eq!(error.to_string(), "the logging driver `fluentd` is not possible yet");
        assert_eq!(error.option, None);
        let found = settings("json-file", &[("labels", "a, b"), ("env", "C")]).unwrap();
        assert_eq!((found.labels, found.env), (vec!["a".to_owned(), "b".into()], vec!["C".into()]));
    }

    #[test]
    fn a_syslog_server_is_given_by_scheme_host_and_port() {
        let address = |text: &str| match settings("syslog", &[("syslog-address", text)]) {
            Ok(LogSettings { driver: LogDriver::Syslog(syslog), .. }) => Ok(syslog.address),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(address("udp://10.0.0.1:5140"), Ok(SyslogAddress::Udp("10.0.0.1".into(), 5140)));
        assert_eq!(address("tcp://log"), Ok(SyslogAddress::Tcp("log".into(), 514)));
        assert_eq!(address("tcp://[::1]:601"), Ok(SyslogAddress::Tcp("::1".into(), 601)));
        assert_eq!(address("unixgram:///dev/log"), Ok(SyslogAddress::Unixgram("/dev/log".into())));
        assert_eq!(address("unix:///run/s"), Ok(SyslogAddress::Unix("/run/s".into())));
        assert!(address("tcp+tls://log:6514").unwrap_err().contains("TLS"));
        for wrong in ["log", "http://a", "udp://", "udp://a:port", "unix://relative"] {
            assert!(address(wrong).unwrap_err().contains("is not an address"), "{wrong}");
        }
        let facility = |text| match settings("syslog", &[("syslog-facility", text)]).unwrap().driver
        {
            LogDriver::Syslog(syslog) => syslog.facility,
            other => panic!("{other:?}"),
        };
        assert_eq!([facility("local0"), facility("kern"), facility("23")], [16, 0, 23]);
        assert!(refusal("syslog", "syslog-facility", "24").contains("not a facility"));
        assert!(refusal("syslog", "syslog-format", "json").contains("rfc5424"));
    }

    #[test]
    fn a_tag_names_the_container_by_its_fields() {
        let field = |name: &str| Some(name.to_lowercase());
        assert_eq!(fill_tag("{{.Name}}/{{ .ID }}!", field).unwrap(), "name/id!");
        assert_eq!(fill_tag("plain", field).unwrap(), "plain");
        assert!(fill_tag("{{.Nope}}", field).is_err());
        assert!(fill_tag("{{upper .Name}}", field).is_err());
        assert!(fill_tag("{{.Name", field).is_err());
        assert!(refusal("syslog", "tag", "{{.Nope}}").contains("Nope"));
    }
}
