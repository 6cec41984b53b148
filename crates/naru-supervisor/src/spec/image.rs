//! What an image says about its containers.

use naru_image::Healthcheck;
use oci_spec::image::Config;

/// An image's configuration, as far as it concerns how containers are started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Image<'a> {
    /// Command, environment, user and so on.
    pub config: Option<&'a Config>,
    /// The health check it brings along.
    pub healthcheck: Option<&'a Healthcheck>,
    /// The shell for commands in shell form; `/bin/sh -c` when absent.
    pub shell: Option<&'a [String]>,
}

impl<'a> From<&'a naru_image::Image> for Image<'a> {
    fn from(image: &'a naru_image::Image) -> Self {
        Self {
            config: image.config.config().as_ref(),
            healthcheck: image.healthcheck.as_ref(),
            shell: image.shell.as_deref(),
        }
    }
}

impl<'a> Image<'a> {
    pub(super) fn entrypoint(&self) -> &'a [String] {
        self.list(Config::entrypoint)
    }

    pub(super) fn command(&self) -> &'a [String] {
        self.list(Config::cmd)
    }

    /// The value of an environment variable.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let mut entries = self.environment().iter().filter_map(|entry| entry.split_once('='));
        entries.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    pub(super) fn environment(&self) -> &'a [String] {
        self.list(Config::env)
    }

    pub(super) fn volumes(&self) -> &'a [String] {
        self.list(Config::volumes)
    }

    pub(super) fn user(&self) -> &'a str {
        self.text(Config::user)
    }

    pub(super) fn working_directory(&self) -> &'a str {
        self.text(Config::working_dir)
    }

    pub(super) fn stop_signal(&self) -> &'a str {
        self.text(Config::stop_signal)
    }

    fn list(&self, field: fn(&Config) -> &Option<Vec<String>>) -> &'a [String] {
        self.config.and_then(|config| field(config).as_deref()).unwrap_or_default()
    }

    fn text(&self, field: fn(&Config) -> &Option<String>) -> &'a str {
        self.config.and_then(|config| field(config).as_deref()).unwrap_or_default()
    }
}
