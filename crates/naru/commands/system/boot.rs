//! `naru system boot`: what comes back after a restart of the machine.
//!
//! Where systemd is, `enable` writes one unit, and the link that `systemctl enable` would make; elsewhere it prints the
//! line that cron or rc.local runs. Either runs `naru system boot run`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use naru_state::ProjectName;
use naru_supervisor::protocol::Request;
use naru_supervisor::{boot, observe};

use crate::conversation::{connect_or_start, converse};
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Bring containers with `restart: always` or `unless-stopped` back after a restart of the machine
    Enable(Place),
    /// Don't bring them back
    Disable(Place),
    /// Tell whether they are brought back, and which would be now; exits with 1 when they are not
    Status {
        #[command(flatten)]
        place: Place,
        /// Format the output: table or json (one object)
        #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
        format: String,
    },
    /// Bring them back now, dependencies first
    Run,
}

/// Which machine's files.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// Where the machine's root directory is
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Runs a command.
pub(crate) fn run(
    command: &Command,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    match command {
        Command::Enable(place) => enable(place, settings, printer),
        Command::Disable(place) => disable(place, settings, printer),
        Command::Status { place, format } => status(place, format == "json", settings, printer),
        Command::Run => bring_back(settings, printer),
    }
}

/// The unit's file and the link that makes systemd start it.
#[derive(Debug, PartialEq, Eq)]
struct Unit {
    file: PathBuf,
    link: PathBuf,
    /// Started when the machine is up, or when the user's first session begins.
    target: &'static str,
}

impl Unit {
    fn of(place: &Place, settings: &Settings) -> Self {
        let environment = &settings.environment;
        let own = environment.get("NARU_ROOT").filter(|root| !root.is_empty());
        // Each root has a unit of its own.
        let name = match own {
            None => "naru.service".to_owned(),
            Some(_) => format!("naru-{}.service", settings.directories.root_id()),
        };
        let (directory, target) = match settings.is_root {
            true => (place.root.join("etc/systemd/system"), "multi-user.target"),
            false => (place.root.join(user_units(environment)), "default.target"),
        };
        let link = directory.join(format!("{target}.wants")).join(&name);
        Self { file: directory.join(name), link, target }
    }

    fn is_enabled(&self) -> bool {
        self.file.is_file() && self.link.is_symlink()
    }
}

/// Relative to the machine's root directory.
fn user_units(environment: &BTreeMap<String, String>) -> PathBuf {
    let path = |name: &str| environment.get(name).filter(|path| !path.is_empty());
    let config = path("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(path("HOME").map_or("/", String::as_str)).join(".config"));
    let units = config.join("systemd/user");
    units.strip_prefix("/").map_or_else(|_| units.clone(), Path::to_owned)
}

/// As sd_booted(3) tells.
fn has_systemd(place: &Place) -> bool {
    place.root.join("run/systemd/system").is_dir()
}

fn enable(place: &Place, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("system boot enable")?;
    let doing = "have containers come back after a restart of the machine";
    let program = std::env::current_exe().host(doing)?;
    let variables = variables(&settings.environment);
    if !has_systemd(place) {
        printer.say(
            "there is no systemd here, and nothing is enabled yet: this line in the crontab of the user that naru runs \
             as (`crontab -e`), or without its first word in /etc/rc.local, does it",
        );
        printer.data_line(&format!("@reboot {}", shell_line(&program, &variables)))?;
        return Ok(0);
    }
    let unit = Unit::of(place, settings);
    let text = unit_text(&program, &variables, unit.target);
    write(&unit, &text).host(doing)?;
    printer.say(&format!("wrote {}", unit.file.display()));
    if !settings.is_root {
        printer.say("`loginctl enable-linger` starts it without a login");
    }
    Ok(0)
}

fn write(unit: &Unit, text: &str) -> io::Result<()> {
    let wants = unit.link.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(wants)?;
    naru_state::atomic::write_durable(&unit.file, text.as_bytes())?;
    match fs_err::os::unix::fs::symlink(&unit.file, &unit.link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

fn disable(place: &Place, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("system boot disable")?;
    let unit = Unit::of(place, settings);
    for path in [&unit.link, &unit.file] {
        match fs::remove_file(path) {
            Ok(()) => printer.say(&format!("removed {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).host("leave containers down after a restart of the machine");
            }
        }
    }
    Ok(0)
}

fn status(
    place: &Place,
    json: bool,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    let unit = Unit::of(place, settings);
    let is_enabled = unit.is_enabled();
    let mut projects = BTreeMap::new();
    for name in observe::projects(&settings.directories).host("list the projects")? {
        projects.insert(name.to_string(), returning(&name, settings)?);
    }
    projects.retain(|_, containers| !containers.is_empty());
    if json {
        let object = serde_json::json!({
            "Enabled": is_enabled, "Unit": unit.file, "Systemd": has_systemd(place), "Returning": projects,
        });
        printer.data_line(&object.to_string())?;
    } else {
        let word = if is_enabled { "enabled" } else { "disabled" };
        printer.data_line(&format!("{word} ({})", unit.file.display()))?;
        for (project, containers) in projects {
            printer.data_line(&format!("{project}: {}", containers.join(", ")))?;
        }
    }
    Ok(u8::from(!is_enabled))
}

fn returning(name: &ProjectName, settings: &Settings) -> Result<Vec<String>, CommandError> {
    boot::returning(&settings.directories.project(name)).host(format!("look at project {name}"))
}

/// What one project is refused does not keep the others down.
fn bring_back(settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let projects = match settings.named_project()? {
        Some(name) => vec![name],
        None => observe::projects(&settings.directories).host("list the projects")?,
    };
    let mut code = 0;
    for name in projects {
        if let Err(error) = bring_project_back(&name, settings, printer) {
            error.explain(printer);
            code = 1;
        }
    }
    Ok(code)
}

fn bring_project_back(
    name: &ProjectName,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), CommandError> {
    if returning(name, settings)?.is_empty() {
        return Ok(());
    }
    let client = connect_or_start(&settings.directories, name)?;
    let request = settings.wanted(Request::Boot);
    converse(printer, client, &request, None, &format!("bring project {name} back"))
}

/// The variables that tell where naru's files are.
fn variables(environment: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    let value = |name: &&'static str| environment.get(*name).filter(|value| !value.is_empty());
    let names = ["NARU_ROOT", "NARU_RUN"].into_iter();
    names.filter_map(|name| Some((name, value(&name)?.as_str()))).collect()
}

/// systemd.service(5), systemd.exec(5).
fn unit_text(program: &Path, variables: &[(&str, &str)], target: &str) -> String {
    let environment = variables.iter().map(|(name, value)| {
        // In Environment= a dollar sign means nothing.
        format!("Environment=\"{name}={}\"\n", escaped(value))
    });
    let environment: String = environment.collect();
    let program = escaped(&program.display().to_string()).replace('$', "$$");
    format!(
        "[Unit]\n\
         Description=Containers of naru that come back after a restart of the machine\n\
         Wants=network-online.target\n\
         After=network-online.target local-fs.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         KillMode=process\n\
         {environment}\
         ExecStart=\"{program}\" system boot run\n\
         \n\
         [Install]\n\
         WantedBy={target}\n"
    )
}

/// For a quoted word of a unit file.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

/// A line for sh(1).
fn shell_line(program: &Path, variables: &[(&str, &str)]) -> String {
    let quoted = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@".contains(c);
        match !text.is_empty() && text.chars().all(plain) {
            true => text.to_owned(),
            false => format!("'{}'", text.replace('\'', r"'\''")),
        }
    };
    let mut words: Vec<_> =
        variables.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    words.push(quoted(&program.display().to_string()));
    words.push("system boot run".to_owned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_this_program_with_these_directories_whatever_they_are_called() {
        let variables = [("NARU_ROOT", r#"/data/100% "x"\y $z"#)];
        let text = unit_text(Path::new("/opt/a $b/naru"), &variables, "multi-user.target");
        assert!(text.contains("\nExecStart=\"/opt/a $$b/naru\" system boot run\n"), "{text}");
        let line = r#"Environment="NARU_ROOT=/data/100%% \"x\"\\y $z""#;
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(text.ends_with("\n[Install]\nWantedBy=multi-user.target\n"), "{text}");
    }

    #[test]
    fn the_line_for_cron_is_quoted_where_it_must_be() {
        let variables = [("NARU_ROOT", "/it's here")];
        let line = shell_line(Path::new("/usr/bin/naru"), &variables);
        assert_eq!(line, r"NARU_ROOT='/it'\''s here' /usr/bin/naru system boot run");
    }

    #[test]
    fn units_of_a_user_lie_where_that_keeps_its_configuration() {
        let of = |name: &str, path: &str| {
            user_units(&BTreeMap::from([(name.to_owned(), path.to_owned())]))
        };
        assert_eq!(of("HOME", "/home/u"), Path::new("home/u/.config/systemd/user"));
        assert_eq!(of("XDG_CONFIG_HOME", "/c"), Path::new("c/systemd/user"));
    }
}
