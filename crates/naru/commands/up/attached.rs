//! Whose output a foreground `up` shows.

use std::collections::{BTreeMap, BTreeSet};

use naru_compose::project::{Project, Service};

use super::Args;

/// The services whose output is shown and whose end is awaited.
pub(super) fn services(args: &Args, all: &BTreeMap<String, Service>) -> BTreeSet<String> {
    let named = if args.attach.is_empty() { &args.services } else { &args.attach };
    let everything = named.is_empty() || (args.attach.is_empty() && args.attach_dependencies);
    all.iter()
        .filter(|(name, _)| everything || named.contains(name))
        .filter(|(name, service)| args.attach.contains(name) || service.attach != Some(false))
        .filter(|(name, _)| !args.no_attach.contains(name))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The names under which their containers will be shown.
pub(super) fn names(args: &Args, attached: &BTreeSet<String>, project: &Project) -> Vec<String> {
    let (all, between) = (&project.services, project.separator());
    let mut names = Vec::new();
    for (name, service) in attached.iter().filter_map(|name| all.get_key_value(name)) {
        let scale = args.scale.iter().find(|(scaled, _)| scaled == name);
        let count = scale.map_or_else(|| service.replicas(), |(_, count)| *count);
        match service.container_name.as_str() {
            "" => names.extend((1..=count).map(|number| format!("{name}{between}{number}"))),
            own => names.push(own.to_owned()),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Command, Verb, parse};

    fn check(line: &str, expected: &[&str]) {
        let words = format!("naru up {line}");
        let cli = parse(words.split_whitespace().map(Into::into)).unwrap();
        let (_globals, Command::Verb(Verb::Up(args))) = cli.split() else { unreachable!() };
        let quiet = Service { attach: Some(false), ..Service::default() };
        let all = [
            ("db".to_owned(), Service::default()),
            ("quiet".to_owned(), quiet),
            ("web".to_owned(), Service::default()),
        ];
        let attached = services(&args, &all.into());
        assert!(attached.iter().eq(expected), "{line}: {attached:?}");
    }

    #[test]
    fn the_services_that_are_shown_are_those_named_unless_flags_say_otherwise() {
        check("", &["db", "web"]);
        check("web", &["web"]);
        check("--attach-dependencies web", &["db", "web"]);
        check("--attach quiet", &["quiet"]);
        check("--no-attach db", &["web"]);
    }

    #[test]
    fn containers_are_named_by_service_and_number_or_as_the_file_says() {
        let named = Service { container_name: "own".into(), ..Service::default() };
        let two = Service { scale: Some(2), ..Service::default() };
        let services = BTreeMap::from([("a".to_owned(), named), ("b".to_owned(), two)]);
        let mut project = Project { services, ..Project::default() };
        let cli = parse(["naru", "up"].map(Into::into)).unwrap();
        let (_globals, Command::Verb(Verb::Up(args))) = cli.split() else { unreachable!() };
        let attached = super::services(&args, &project.services);
        assert_eq!(names(&args, &attached, &project), ["own", "b-1", "b-2"]);
        project.compatibility = true;
        assert_eq!(names(&args, &attached, &project), ["own", "b_1", "b_2"]);
    }
}
