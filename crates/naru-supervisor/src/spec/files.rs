//! The text of the three files that every container gets, as Docker writes them. Names and addresses are
//! checked one by one: nothing that a file, an image or the host's resolver configuration says can add a
//! line of its own.

use std::net::IpAddr;

use naru_compose::project::{ExtraHosts, Service};
use naru_net::dns::HOST_NAMES;

use super::{Error, is_host_name};

/// The lines of `/etc/hosts` that are the same everywhere.
const LOCAL: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// The word in `extra_hosts` that stands for the host's own address.
const HOST_GATEWAY: &str = "host-gateway";

/// What `/etc/hosts` says about the container itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own<'a> {
    /// Its host name.
    pub hostname: &'a str,
    /// Its domain; may be empty.
    pub domainname: &'a str,
    /// Its addresses, in the order of its interfaces.
    pub addresses: &'a [IpAddr],
    /// The host's address as the container sees it, for `host-gateway`.
    pub host_gateway: Option<IpAddr>,
}

/// `/etc/hosts`: localhost, the file's `extra_hosts`, the container itself.
///
/// # Errors
/// When a name or an address is none, or `host-gateway` is used where there is no such address.
pub fn hosts(extra: &ExtraHosts, own: &Own<'_>) -> Result<String, Error> {
    let mut text = LOCAL.to_owned();
    text.push_str(&extra_lines(extra, own.host_gateway)?);
    if own.addresses.is_empty() {
        return Ok(text);
    }
    check("hostname", own.hostname)?;
    if !own.domainname.is_empty() {
        check("domainname", own.domainname)?;
    }
    let names = own_names(own.hostname, own.domainname);
    for address in own.addresses {
        text.push_str(&format!("{address}\t{names}\n"));
    }
    Ok(text)
}

/// What a container's own addresses are called: its name with its domain, wherever that is said, and without.
pub fn own_names(hostname: &str, domainname: &str) -> String {
    let whole = match domainname {
        "" => hostname.to_owned(),
        domain => format!("{hostname}.{domain}"),
    };
    match whole.split_once('.') {
        Some((first, _)) => format!("{whole} {first}"),
        None => whole,
    }
}

/// `/etc/hosts` with the host's network: the host's own file, the `extra_hosts`, and the names of the host itself.
///
/// # Errors
/// As for [`hosts`].
pub fn hosts_of_host(host: &str, extra: &ExtraHosts) -> Result<String, Error> {
    let mut text = host.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let own = IpAddr::from([127, 0, 0, 1]);
    text.push_str(&extra_lines(extra, Some(own))?);
    // Elsewhere naru's name server knows them.
    for name in HOST_NAMES.iter().filter(|name| !extra.0.contains_key(**name)) {
        text.push_str(&format!("{own}\t{name}\n"));
    }
    Ok(text)
}

fn extra_lines(extra: &ExtraHosts, gateway: Option<IpAddr>) -> Result<String, Error> {
    let mut text = String::new();
    for (name, addresses) in &extra.0 {
        check("extra_hosts", name)?;
        for address in addresses {
            let address = if address == HOST_GATEWAY { gateway } else { parse_address(address) };
            let Some(address) = address else {
                let problem = format!("\"{name}\" has no usable address");
                return Err(Error::invalid("extra_hosts", problem));
            };
            text.push_str(&format!("{address}\t{name}\n"));
        }
    }
    Ok(text)
}

/// An address, also in the brackets that Compose allows around IPv6.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    let plain = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    plain.parse().ok()
}

/// `/etc/hostname`.
///
/// # Errors
/// When the name is none.
pub fn hostname(name: &str) -> Result<String, Error> {
    check("hostname", name)?;
    Ok(format!("{name}\n"))
}

/// What a `resolv.conf` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    /// Addresses of servers.
    pub servers: Vec<IpAddr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// Options, such as `ndots:2`.
    pub options: Vec<String>,
}

impl Resolver {
    /// Reads the host's file. Lines that are not understood, and names and options that are none, are left
    /// out: the host's file cannot break a container's.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => found.servers.extend(words.next().and_then(parse_address)),
                Some("search" | "domain") => {
                    found.search =
                        words.filter(|word| is_search(word)).map(str::to_owned).collect();
                }
                Some("options") => {
                    found.options.extend(words.filter(|word| is_option(word)).map(str::to_owned));
                }
                _ => {}
            }
        }
        found
    }

    /// The host's configuration with what a service says in its place: servers, search domains and
    /// options each as a whole.
    ///
    /// # Errors
    /// When the service names a server, domain or option that is none.
    pub fn with_service(mut self, service: &Service) -> Result<Self, Error> {
        if !service.dns.is_empty() {
            let parse = |text: &String| {
                let problem = || Error::invalid("dns", format!("{text:?} is not an address"));
                parse_address(text).ok_or_else(problem)
            };
            self.servers = service.dns.iter().map(parse).collect::<Result<_, _>>()?;
        }
        if !service.dns_search.is_empty() {
            if let Some(bad) = service.dns_search.iter().find(|domain| !is_search(domain)) {
                return Err(Error::invalid("dns_search", format!("{bad:?} is not a domain")));
            }
            self.search.clone_from(&service.dns_search);
            // A dot alone means: search nowhere.
            self.search.retain(|domain| domain != ".");
        }
        if !service.dns_opt.is_empty() {
            if let Some(bad) = service.dns_opt.iter().find(|option| !is_option(option)) {
                return Err(Error::invalid("dns_opt", format!("{bad:?} is not an option")));
            }
            self.options.clone_from(&service.dns_opt);
        }
        Ok(self)
    }
}

/// `/etc/resolv.conf` of a container on networks of the project: naru's own server at 127.0.0.11, with
/// the search domains and options given. Names without a dot are asked as they are (`ndots:0`).
pub fn resolv_conf(resolver: &Resolver) -> String {
    let mut options = resolver.options.clone();
    if !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0".to_owned());
    }
    write(&[IpAddr::from([127, 0, 0, 11])], &resolver.search, &options)
}

/// `/etc/resolv.conf` of a container with the host's network, and of one without any: nobody is at 127.0.0.11 there.
pub fn resolv_conf_of_host(resolver: &Resolver) -> String {
    write(&resolver.servers, &resolver.search, &resolver.options)
}

fn write(servers: &[IpAddr], search: &[String], options: &[String]) -> String {
    let mut text = "# Made by naru; changes last until the container starts again.\n\n".to_owned();
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

fn is_search(text: &str) -> bool {
    text == "." || is_host_name(text)
}

/// Words of letters, digits, `-`, `_` and a number after a colon.
fn is_option(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(is_allowed)
}

fn check(attribute: &str, name: &str) -> Result<(), Error> {
    if is_host_name(name) {
        return Ok(());
    }
    Err(Error::invalid(attribute, format!("{name:?} is not a host name")))
}
