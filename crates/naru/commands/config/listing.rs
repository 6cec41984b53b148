//! The flags of `naru config` that print one name per line.

use std::collections::BTreeSet;

use naru_compose::project::{Project, Service};

use super::Model;
use crate::error::CommandError;

/// What to list. When several are asked for, the first in this order is listed.
#[derive(Debug, clap::Args)]
pub(super) struct Lists {
    /// Only the names of services
    #[arg(long = "services")]
    only_services: bool,
    /// Only the names of volumes
    #[arg(long)]
    volumes: bool,
    /// Only the names of networks
    #[arg(long)]
    networks: bool,
    /// Only the models
    #[arg(long)]
    models: bool,
    /// The configuration hash of services, separated by commas, or of all with '*'
    #[arg(long, value_name = "SERVICE")]
    hash: Option<String>,
    /// Only the names of profiles
    #[arg(long)]
    profiles: bool,
    /// Only the names of images
    #[arg(long)]
    images: bool,
}

impl Lists {
    /// Whether any list is asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.is_about_all_services() || self.profiles || self.images
    }

    /// Whether the profiles are asked for: those of all services, although naming one that does not exist
    /// is an error.
    pub(super) fn is_about_profiles(&self) -> bool {
        self.profiles
    }

    /// Whether the list is the same whichever services are named.
    pub(super) fn is_about_all_services(&self) -> bool {
        let Self { only_services, volumes, networks, models, .. } = *self;
        only_services || volumes || networks || models || self.hashed().is_some()
    }

    /// The services whose hash is asked for; to docker compose, an empty word is as if there was no flag.
    fn hashed(&self) -> Option<&str> {
        self.hash.as_deref().filter(|services| !services.is_empty())
    }
}

/// The lines of the list that is asked for, if any.
pub(super) fn lines(
    args: &Lists,
    services: &[String],
    model: &Model,
) -> Result<Option<String>, CommandError> {
    let names = match args {
        Lists { only_services: true, .. } => model.names("services"),
        Lists { volumes: true, .. } => model.names("volumes"),
        Lists { networks: true, .. } => model.names("networks"),
        Lists { models: true, .. } => model.models(),
        lists if let Some(services) = lists.hashed() => hashes(services, model)?,
        Lists { profiles: true, .. } => model.profiles(),
        Lists { images: true, .. } => model.images(services),
        _ => return Ok(None),
    };
    Ok(Some(names.iter().map(|name| format!("{name}\n")).collect()))
}

impl Model {
    fn names(&self, section: &str) -> Vec<String> {
        let project = match self {
            Self::Template(template) if section == "services" => return template.names(section),
            Self::Template(template) => return template.used(section),
            Self::Project(loaded) => &loaded.project,
        };
        match section {
            "volumes" => project.volumes.keys().cloned().collect(),
            "networks" => project.networks.keys().cloned().collect(),
            _ => project.services.keys().cloned().collect(),
        }
    }

    /// What the models are, which is what docker compose lists.
    fn models(&self) -> Vec<String> {
        match self {
            Self::Project(loaded) => {
                let models = loaded.project.models.values().map(|model| model.model.clone());
                models.filter(|model| !model.is_empty()).collect()
            }
            Self::Template(template) => template.models(),
        }
    }

    fn profiles(&self) -> Vec<String> {
        match self {
            Self::Project(loaded) => {
                let Project { services, disabled_services, .. } = &loaded.project;
                let all = services.values().chain(disabled_services.values());
                let profiles = all.flat_map(|service| service.profiles.clone());
                profiles.collect::<BTreeSet<String>>().into_iter().collect()
            }
            Self::Template(template) => template.profiles(),
        }
    }

    /// The image of each service; of one that is only built, the name that its image gets.
    fn images(&self, services: &[String]) -> Vec<String> {
        match self {
            Self::Project(loaded) => {
                let project = &loaded.project;
                let between = project.separator();
                let name = |(name, service): (&String, &Service)| {
                    or_built((&project.name, between, name), &service.image)
                };
                project.services.iter().map(name).collect()
            }
            Self::Template(template) => {
                let images = template.images(services).into_iter();
                let (project, between) = (template.project_name(), template.separator());
                images.map(|(name, image)| or_built((project, between, &name), &image)).collect()
            }
        }
    }
}

fn or_built((project, between, service): (&str, char, &str), image: &str) -> String {
    if image.is_empty() { format!("{project}{between}{service}") } else { image.to_owned() }
}

/// `web 1a2b…` for each service.
fn hashes(services: &str, model: &Model) -> Result<Vec<String>, CommandError> {
    let Model::Project(loaded) = model else {
        let what = "--hash and --no-interpolate exclude each other: the hash is of the values";
        return Err(CommandError::user(what));
    };
    let Project { services: all, disabled_services, .. } = &loaded.project;
    let mut named: Vec<&str> = match services {
        "*" => all.keys().map(String::as_str).collect(),
        services => services.split(',').collect(),
    };
    named.sort_unstable();
    let line = |name: &str| {
        let service = all.get(name).ok_or_else(|| {
            let unknown = CommandError::user(format!("no such service: {name}"));
            match disabled_services.get(name) {
                Some(service) => unknown.hint(format!(
                    "it only takes part in the profile `{}`: enable it with --profile",
                    service.profiles.join("`, `")
                )),
                None => unknown,
            }
        })?;
        Ok(format!("{name} {}", naru_plan::hash::service(service)))
    };
    named.into_iter().map(line).collect()
}
