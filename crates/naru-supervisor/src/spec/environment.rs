//! The environment, in the order Docker gives it.

use std::collections::BTreeSet;

use super::{Error, Inputs};

/// PATH, HOSTNAME and TERM by default, then the file's variables, then the image's other ones; each
/// replaces a default in place. HOME comes last when nobody has set it. A variable that the file names
/// without a value is not set, even if the image sets it.
pub(super) fn variables(inputs: &Inputs<'_>) -> Result<Vec<String>, Error> {
    let mut all = vec![
        format!("PATH={}", naru_runtime::profile::PATH),
        format!("HOSTNAME={}", inputs.hostname),
    ];
    if inputs.service.tty {
        all.push("TERM=xterm".to_owned());
    }
    let named: BTreeSet<&str> = inputs.service.environment.keys().map(String::as_str).collect();
    for (name, value) in &inputs.service.environment {
        check(name, value.as_deref().unwrap_or_default())?;
        match value {
            Some(value) => set(&mut all, name, format!("{name}={value}")),
            None => all.retain(|entry| key(entry) != name),
        }
    }
    for entry in inputs.image.environment() {
        if !named.contains(key(entry)) && entry.contains('=') {
            set(&mut all, key(entry), entry.clone());
        }
    }
    if !all.iter().any(|entry| key(entry) == "HOME") && !named.contains("HOME") {
        all.push(format!("HOME={}", home(inputs)?));
    }
    Ok(all)
}

fn set(all: &mut Vec<String>, name: &str, entry: String) {
    match all.iter_mut().find(|known| key(known) == name) {
        Some(known) => *known = entry,
        None => all.push(entry),
    }
}

fn key(entry: &str) -> &str {
    entry.split('=').next().unwrap_or(entry)
}

fn check(name: &str, value: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        let key = format!("environment.{name}");
        return Err(Error::invalid(&key, "is not the name and value of a variable"));
    }
    Ok(())
}

/// The home directory comes from a file of the image and may say anything.
fn home<'a>(inputs: &'a Inputs<'_>) -> Result<&'a str, Error> {
    let home = inputs.user.home.as_str();
    if home.contains(|c: char| c.is_control() || c == ':') {
        let problem = "the home directory in the image's /etc/passwd is not a plain path";
        return Err(Error::invalid("user", problem));
    }
    Ok(if home.is_empty() { "/" } else { home })
}
