//! The instructions of `--change`: what a Dockerfile would say about how containers are started.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::words;

/// The configuration an import gives its image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    command: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    /// In the order they were given, as later ones may use earlier ones.
    environment: Vec<(String, String)>,
    ports: Vec<String>,
    volumes: Vec<String>,
    labels: BTreeMap<String, String>,
    user: Option<String>,
    working_directory: Option<String>,
    stop_signal: Option<String>,
    healthcheck: Option<Value>,
}

/// Why an instruction cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the change {instruction:?} cannot be applied: {problem}")]
pub struct ChangeError {
    /// The instruction as it was given.
    instruction: String,
    /// What is wrong with it.
    problem: &'static str,
}

const SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl Changes {
    /// Applies instructions in their order.
    ///
    /// # Errors
    /// For the first one that is malformed or that an import does not take.
    pub fn parse<T: AsRef<str>>(
        instructions: impl IntoIterator<Item = T>,
    ) -> Result<Self, ChangeError> {
        let mut changes = Self::default();
        for instruction in instructions {
            let instruction = instruction.as_ref();
            changes
                .apply(instruction.trim())
                .map_err(|problem| ChangeError { instruction: instruction.to_owned(), problem })?;
        }
        Ok(changes)
    }

    fn apply(&mut self, instruction: &str) -> Result<(), &'static str> {
        let (keyword, rest) = instruction.split_once([' ', '\t']).unwrap_or((instruction, ""));
        let rest = rest.trim();
        if rest.is_empty() {
            return Err("it has no arguments");
        }
        match keyword.to_ascii_uppercase().as_str() {
            "CMD" => self.command = Some(command(rest)),
            "ENTRYPOINT" => {
                self.entrypoint = Some(command(rest));
                self.command = None;
            }
            "ENV" => {
                for (name, value) in self.pairs(rest)? {
                    self.environment.retain(|(other, _)| *other != name);
                    self.environment.push((name, value));
                }
            }
            "LABEL" => self.labels.extend(self.pairs(rest)?),
            "EXPOSE" => {
                for word in self.words(rest)? {
                    self.ports.extend(ports(&word)?);
                }
            }
            "VOLUME" => {
                let listed = json_list(rest).map_or_else(|| self.words(rest), Ok)?;
                if listed.iter().any(|path| path.trim().is_empty()) {
                    return Err("a volume has no path");
                }
                self.volumes.extend(listed);
            }
            "USER" => self.user = Some(self.single(rest)?),
            "WORKDIR" => self.enter(&self.words(rest)?.join(" ")),
            "STOPSIGNAL" => self.stop_signal = Some(self.single(rest)?),
            "HEALTHCHECK" => self.healthcheck = Some(healthcheck(rest)?),
            "ONBUILD" => {
                return Err("ONBUILD has no effect in an import; put it into a Dockerfile");
            }
            _ => {
                return Err(
                    "only CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, STOPSIGNAL, USER, VOLUME and \
                            WORKDIR are possible",
                );
            }
        }
        Ok(())
    }

    fn words(&self, text: &str) -> Result<Vec<String>, &'static str> {
        words::split(text, &self.environment.iter().cloned().collect())
    }

    fn single(&self, text: &str) -> Result<String, &'static str> {
        match &self.words(text)?[..] {
            [word] if !word.is_empty() => Ok(word.clone()),
            _ => Err("it takes exactly one argument"),
        }
    }

    /// `NAME=value NAME=value`, or the old form `NAME value with blanks`.
    fn pairs(&self, text: &str) -> Result<Vec<(String, String)>, &'static str> {
        let first = text.split_whitespace().next().unwrap_or_default();
        if !first.contains('=') {
            let (name, value) = text.split_once([' ', '\t']).ok_or("a name has no value")?;
            let value = self.words(value)?.join(" ");
            return Ok(vec![(name.to_owned(), value)]);
        }
        let pair = |word: String| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err("it needs NAME=value"),
        };
        self.words(text)?.into_iter().map(pair).collect()
    }

    /// A relative directory is meant below the one before.
    fn enter(&mut self, path: &str) {
        let before = match &self.working_directory {
            Some(before) if !path.starts_with('/') => before.clone(),
            _ => String::new(),
        };
        let mut names: Vec<&str> = Vec::new();
        for name in before.split('/').chain(path.split('/')) {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()),
                _ => names.push(name),
            }
        }
        self.working_directory = Some(format!("/{}", names.join("/")));
    }

    /// The `config` of an image configuration.
    pub(super) fn to_json(&self) -> Value {
        let mut config = Map::new();
        let environment: Vec<_> =
            self.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let set = |members: &[String]| -> Map<String, Value> {
            members.iter().map(|member| (member.clone(), json!({}))).collect()
        };
        let mut insert = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                config.insert(key.to_owned(), value);
            }
        };
        insert("Cmd", self.command.as_ref().map(|words| json!(words)));
        insert("Entrypoint", self.entrypoint.as_ref().map(|words| json!(words)));
        insert("Env", (!environment.is_empty()).then(|| json!(environment)));
        insert("ExposedPorts", (!self.ports.is_empty()).then(|| set(&self.ports).into()));
        insert("Healthcheck", self.healthcheck.clone());
        insert("Labels", (!self.labels.is_empty()).then(|| json!(self.labels)));
        insert("StopSignal", self.stop_signal.as_ref().map(|text| json!(text)));
        insert("User", self.user.as_ref().map(|text| json!(text)));
        insert("Volumes", (!self.volumes.is_empty()).then(|| set(&self.volumes).into()));
        insert("WorkingDir", self.working_directory.as_ref().map(|text| json!(text)));
        config.into()
    }
}

/// A JSON array of strings is a command as it is; anything else is one for the shell.
fn command(text: &str) -> Vec<String> {
    json_list(text).unwrap_or_else(|| {
        SHELL.iter().map(|word| (*word).to_owned()).chain([text.to_owned()]).collect()
    })
}

fn json_list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `80`, `53/udp` or `8000-8010/tcp`.
fn ports(text: &str) -> Result<Vec<String>, &'static str> {
    const WRONG: &str =
        "a port is a number from 1 to 65535 or a range, with /tcp, /udp or /sctp behind it";
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(WRONG);
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(WRONG);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(WRONG);
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// `NONE`, or options and `CMD command`.
fn healthcheck(mut text: &str) -> Result<Value, &'static str> {
    let mut check = Map::new();
    while let Some(option) = text.strip_prefix("--") {
        let (option, rest) = option.split_once([' ', '\t']).ok_or("it has no CMD")?;
        let (name, value) = option.split_once('=').ok_or("an option needs a value")?;
        let (key, value) = match name {
            "interval" => ("Interval", nanoseconds(value)?),
            "timeout" => ("Timeout", nanoseconds(value)?),
            "start-period" => ("StartPeriod", nanoseconds(value)?),
            "start-interval" => ("StartInterval", nanoseconds(value)?),
            "retries" => {
                ("Retries", value.parse::<u32>().map_err(|_| "retries is no number")?.into())
            }
            _ => return Err("it has an unknown option"),
        };
        check.insert(key.to_owned(), value.into());
        text = rest.trim_start();
    }
    let (keyword, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let test = match (keyword.to_ascii_uppercase().as_str(), rest.trim()) {
        ("NONE", "") if check.is_empty() => vec!["NONE".to_owned()],
        ("CMD", command) if !command.is_empty() => match json_list(command) {
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        _ => return Err("it is NONE, or CMD with a command"),
    };
    check.insert("Test".to_owned(), json!(test));
    Ok(check.into())
}

/// A duration as Go writes it, such as `1m30s` or `500ms`.
fn nanoseconds(text: &str) -> Result<u64, &'static str> {
    const WRONG: &str = "a time is written like 30s, 500ms or 1m30s";
    let mut total: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return Err(WRONG);
    }
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).ok_or(WRONG)?;
        let number: u64 = rest[..digits].parse().map_err(|_| WRONG)?;
        let unit = rest[digits..].find(|character: char| character.is_ascii_digit());
        let (unit, next) = rest[digits..].split_at(unit.unwrap_or(rest.len() - digits));
        let scale: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(WRONG),
        };
        total = number.checked_mul(scale).and_then(|part| total.checked_add(part)).ok_or(WRONG)?;
        rest = next;
    }
    i64::try_from(total).map_err(|_| WRONG)?;
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(instructions: &[&str]) -> String {
        Changes::parse(instructions).unwrap().to_json().to_string()
    }

    #[test]
    fn commands_are_lists_or_lines_for_the_shell() {
        assert_eq!(check(&[r#"CMD ["a","b c"]"#]), r#"{"Cmd":["a","b c"]}"#);
        assert_eq!(check(&["cmd echo $HOME"]), r#"{"Cmd":["/bin/sh","-c","echo $HOME"]}"#);
        assert_eq!(check(&["CMD a", "ENTRYPOINT [\"b\"]"]), r#"{"Entrypoint":["b"]}"#);
    }

    #[test]
    fn variables_use_earlier_ones() {
        assert_eq!(
            check(&["ENV A=1 B=\"two words\"", "ENV PATH /x:$A", "ENV A=${A}2"]),
            r#"{"Env":["B=two words","PATH=/x:1","A=12"]}"#
        );
    }

    #[test]
    fn everything_else_a_container_needs_is_taken() {
        assert_eq!(
            check(&[
                "EXPOSE 80 53/UDP 8000-8001",
                "VOLUME /data",
                "VOLUME [\"/a b\"]",
                "LABEL x=y",
                "USER 1000:1000",
                "WORKDIR /srv",
                "WORKDIR app/../web",
                "STOPSIGNAL SIGQUIT",
                "HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f localhost",
            ]),
            r#"{"ExposedPorts":{"53/udp":{},"80/tcp":{},"8000/tcp":{},"8001/tcp":{}},"Healthcheck":{"Interval":90000000000,"Retries":2,"Test":["CMD-SHELL","curl -f localhost"]},"Labels":{"x":"y"},"StopSignal":"SIGQUIT","User":"1000:1000","Volumes":{"/a b":{},"/data":{}},"WorkingDir":"/srv/web"}"#
        );
        assert_eq!(check(&["HEALTHCHECK NONE"]), r#"{"Healthcheck":{"Test":["NONE"]}}"#);
    }

    #[test]
    fn what_cannot_be_applied_is_named() {
        let error = Changes::parse(["ONBUILD RUN x"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the change \"ONBUILD RUN x\" cannot be applied: ONBUILD has no effect in an import; put it into a Dockerfile"
        );
        for wrong in [
            "",
            "CMD",
            "RUN x",
            "COPY a b",
            "EXPOSE 0",
            "EXPOSE 99999",
            "EXPOSE 5-2",
            "EXPOSE 1/icmp",
            "ENV A",
            "ENV =x",
            "LABEL a=b c",
            "HEALTHCHECK CMD",
            "HEALTHCHECK --interval=5 CMD x",
            "HEALTHCHECK --retries=1",
            "USER a b",
            "VOLUME \"\"",
            "ENV A=\"x",
        ] {
            assert!(Changes::parse([wrong]).is_err(), "{wrong:?} was accepted");
        }
    }
}
