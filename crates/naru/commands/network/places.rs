//! `naru network connect` and `disconnect`.

use std::collections::BTreeMap;

use naru_compose::project::Attachment;
use naru_state::ProjectName;
use naru_supervisor::network::shared;
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::{Connect, Request};

use super::failed;
use crate::conversation::{connect_or_start, converse};
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// The arguments of `connect`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {
    /// Name of the network, or what its id begins with
    #[arg(value_name = "NETWORK")]
    network: String,
    /// Name of the container, or what its id begins with
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// A further name of the container in the network
    #[arg(long = "alias", value_name = "NAME")]
    aliases: Vec<String>,
    /// An option of its place there: `KEY=VALUE`
    #[arg(long = "driver-opt", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// The network with the highest number gives the default route
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    gw_priority: i64,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    ip: String,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    ip6: String,
    /// Another container there and a name that only this one has for it: `CONTAINER[:ALIAS]`
    #[arg(long = "link", value_name = "CONTAINER")]
    links: Vec<String>,
    /// A link-local address
    #[arg(long = "link-local-ip", value_name = "ADDRESS")]
    link_local_ips: Vec<String>,
}

/// The arguments of `disconnect`.
#[derive(Debug, clap::Args)]
pub(crate) struct DisconnectArgs {
    /// Name of the network, or what its id begins with
    #[arg(value_name = "NETWORK")]
    network: String,
    /// Name of the container, or what its id begins with
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Accepted for docker: nothing stands in the way
    #[arg(short, long)]
    force: bool,
}

pub(super) fn connect(
    args: &ConnectArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    let network = shared::find(&settings.directories, &args.network).map_err(failed)?;
    let (project, seen) = container(&args.container, settings)?;
    let whole = |link: &String| match link.contains(':') {
        true => link.clone(),
        false => format!("{link}:{link}"),
    };
    let options = args.options.iter().map(|word| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        (key.to_owned(), value.to_owned())
    });
    let request = Request::Connect(Box::new(Connect {
        container: seen.record.id.to_string(),
        network: network.record.name.clone(),
        place: Attachment {
            aliases: args.aliases.clone(),
            driver_opts: options.collect::<BTreeMap<_, _>>(),
            gw_priority: args.gw_priority,
            ipv4_address: args.ip.clone(),
            ipv6_address: args.ip6.clone(),
            link_local_ips: args.link_local_ips.clone(),
            ..Attachment::default()
        },
        links: args.links.iter().map(whole).collect(),
    }));
    let doing = format!("connect {} to network {}", seen.record.name, network.record.name);
    ask(&project, &request, &doing, settings, printer)
}

pub(super) fn disconnect(
    args: &DisconnectArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    let network = shared::find(&settings.directories, &args.network).map_err(failed)?.record.name;
    if matches!(network.as_str(), "host" | "none") {
        let text = format!("container cannot be disconnected from {network} network");
        return Err(CommandError::user(text));
    }
    let (project, seen) = container(&args.container, settings)?;
    let doing = format!("disconnect {} from network {network}", seen.record.name);
    let request = Request::Disconnect { container: seen.record.id.to_string(), network };
    ask(&project, &request, &doing, settings, printer)
}

fn container(word: &str, settings: &Settings) -> Result<(ProjectName, Seen), CommandError> {
    let found = observe::find(&settings.directories, word).host("look for the container")?;
    found.ok_or_else(|| CommandError::user(format!("No such container: {word}")))
}

fn ask(
    project: &ProjectName,
    request: &Request,
    doing: &str,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    let client = connect_or_start(&settings.directories, project)?;
    converse(printer, client, request, None, doing)?;
    Ok(0)
}
