//! `naru network ls`.

use naru_supervisor::network::shared::Known;
use serde_json::{Value, json};

use super::filter::{Filter, all, used};
use super::short;
use crate::error::CommandError;
use crate::settings::Settings;
use crate::time;
use crate::ui::{Printer, Table};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only networks with this (driver, id, label, name, scope, type, dangling): `KEY=VALUE`
    #[arg(short, long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// Format the output: table, json (one object a line), or a template such as `{{.Name}} {{.Driver}}`
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: String,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let keys = ["driver", "id", "label", "name", "scope", "type", "dangling"];
    let filter = Filter::parse(&args.filters, &keys)?;
    let networks = all(settings)?;
    let asks_for_use = args.filters.iter().any(|word| word.starts_with("dangling="));
    let used = if asks_for_use { used(settings, &networks)? } else { Default::default() };
    let is_used = |known: &Known| used.contains(&known.record.name);
    let mut table = Table::new(&["NETWORK ID", "NAME", "DRIVER", "SCOPE"]);
    for known in networks.iter().filter(|known| filter.fits(known, &is_used)) {
        let object = object(known, args.no_trunc);
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        if args.quiet {
            printer.data_line(&text("ID"))?;
        } else if args.format == "table" {
            table.row(["ID", "Name", "Driver", "Scope"].map(text).to_vec());
        } else if args.format == "json" {
            printer.data_line(&object.to_string())?;
        } else {
            printer.data_line(&fill(&args.format, &object)?)?;
        }
    }
    if !args.quiet && args.format == "table" {
        printer.data(&table.to_string())?;
    }
    Ok(0)
}

/// A network as `docker network ls --format json` has it: every value is text.
fn object(known: &Known, whole: bool) -> Value {
    let record = &known.record;
    let labels: Vec<_> =
        record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let has_ipv4 = record.subnets.iter().any(|subnet| subnet.subnet.is_ipv4());
    json!({
        "CreatedAt": time::date(record.created_ns),
        "Driver": record.driver.name(),
        "ID": if whole { &record.id } else { short(&record.id) },
        "IPv4": has_ipv4.to_string(),
        "IPv6": record.has_ipv6().to_string(),
        "Internal": record.internal.to_string(),
        "Labels": labels.join(","),
        "Name": record.name,
        "Scope": "local",
    })
}

/// Puts an object's values in the place of `{{.Key}}`, and the object in that of `{{json .}}`.
fn fill(template: &str, object: &Value) -> Result<String, CommandError> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let wrong = || {
            let known: Vec<_> = object.as_object().into_iter().flat_map(|map| map.keys()).collect();
            let known: Vec<_> = known.iter().map(|key| format!("{{{{.{key}}}}}")).collect();
            CommandError::user(format!("the template {template:?} is not possible"))
                .hint(format!("{{{{json .}}}} or any of {}", known.join(" ")))
        };
        let (inside, after) = after.split_once("}}").ok_or_else(wrong)?;
        text.push_str(before);
        match inside.trim() {
            "json ." => text.push_str(&object.to_string()),
            inside => {
                let value = inside.strip_prefix('.').and_then(|key| object.get(key));
                text.push_str(value.and_then(Value::as_str).ok_or_else(wrong)?);
            }
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text.replace("\\t", "\t").replace("\\n", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_takes_the_values_by_their_names_and_refuses_others() {
        let object = json!({"Name": "front", "ID": "abc"});
        assert_eq!(fill("{{.Name}}\\t{{ .ID }}!", &object).unwrap(), "front\tabc!");
        assert_eq!(fill("{{json .}}", &object).unwrap(), object.to_string());
        let error = fill("{{.Nam}}", &object).unwrap_err();
        assert_eq!(error.message(), "the template \"{{.Nam}}\" is not possible");
        assert!(fill("{{.Name", &object).is_err());
    }
}
