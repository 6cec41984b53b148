//! Taking ports of the host, before anything is made that would need them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use naru_compose::project::{self, NetworkMode, Service};
use naru_net::ports::{self, Free, Publish};
use naru_plan::{Action, Plan, StepId, Subject};
use naru_state::ContainerId;
use naru_state::record::Port;

use super::super::Supervisor;
use super::super::control::Client;
use super::choose::{self, Wanted};
use super::{Held, is_of, key};
use crate::keeper::link::ToKeeper;
use crate::protocol::{Cause, Failure, Reply, Run};

/// How many milliseconds a port may take to be free after its container has ended: the keeper and the proxy let go of it
/// when they come to it.
const LETTING_GO: u32 = 50;

/// What a command says about ports.
#[derive(Debug, Default)]
pub(in super::super) struct Publishing<'a> {
    /// The `run` that it is.
    pub(in super::super) run: Option<&'a Run>,
    /// Every port may be any.
    pub(in super::super) auto: bool,
    /// Who is told.
    pub(in super::super) client: Option<&'a Client>,
}

impl Publishing<'_> {
    fn tell(&self, text: String) {
        if let Some(client) = self.client {
            drop(client.send(Reply::Notice(text)));
        }
    }
}

/// A port that a new container publishes.
struct Claim {
    step: StepId,
    service: String,
    /// Which of the service's ports it is.
    index: usize,
    port: project::Port,
    wanted: Wanted,
    /// What the port is for: the same purpose gets the same port.
    purpose: String,
    /// Ports of the container that is replaced.
    before: Vec<Port>,
}

/// What has been taken for one command.
#[derive(Default)]
struct Taken {
    ports: BTreeMap<StepId, Vec<(usize, Port)>>,
    /// Containers that the plan ends: their ports may go to others.
    going: BTreeSet<ContainerId>,
}

impl Taken {
    fn all(&self) -> impl Iterator<Item = &Port> {
        self.ports.values().flatten().map(|(_, port)| port)
    }

    fn has(&self, port: &Port) -> bool {
        let same = |other: &Port| host_side(other) == host_side(port);
        self.all().any(same)
    }
}

fn host_side(port: &Port) -> (&str, u16, &str) {
    (&port.host_ip, port.host_port, &port.protocol)
}

impl Supervisor {
    /// Binds the ports of all containers that the plan makes or starts; on the first refusal none is kept.
    ///
    /// Who wants one certain port is served first, who takes any last. With `auto` every port may be any.
    pub(in super::super) fn bind_all(
        &mut self,
        plan: &Plan,
        publishing: &Publishing<'_>,
    ) -> Result<BTreeMap<StepId, Vec<Port>>, Box<Failure>> {
        let bound = self.try_bind_all(plan, publishing);
        if bound.is_err() {
            self.release_left_ports();
        }
        bound
    }

    fn try_bind_all(
        &mut self,
        plan: &Plan,
        publishing: &Publishing<'_>,
    ) -> Result<BTreeMap<StepId, Vec<Port>>, Box<Failure>> {
        let mut taken = Taken { going: going(plan), ..Taken::default() };
        for step in &plan.steps {
            if let Action::StartContainer { container: Subject::Existing { id, .. }, .. } =
                &step.action
                && let Ok(id) = id.clone().try_into()
            {
                self.rebind_ports(&id)?;
            }
        }
        let mut claims = self.claims(plan, publishing)?;
        claims.sort_by_key(|claim| claim.wanted.choice());
        for claim in &claims {
            let port = self.bind_claim(claim, &taken).map_err(|failure| at(failure, claim))?;
            if publishing.auto {
                let Claim { service, port: project::Port { target, protocol, .. }, .. } = claim;
                let number = port.host_port;
                publishing
                    .tell(format!("{service}: port {target}/{protocol} is published at {number}"));
            }
            taken.ports.entry(claim.step).or_default().push((claim.index, port));
        }
        let in_order = |(step, mut ports): (StepId, Vec<(usize, Port)>)| {
            ports.sort_by_key(|(index, _)| *index);
            (step, ports.into_iter().map(|(_, port)| port).collect())
        };
        Ok(taken.ports.into_iter().map(in_order).collect())
    }

    fn claims(&self, plan: &Plan, publishing: &Publishing<'_>) -> Result<Vec<Claim>, Box<Failure>> {
        let mut claims = Vec::new();
        for step in &plan.steps {
            // What runs a hook publishes nothing.
            let Action::CreateContainer { service, number, name, replaces, hook: None } =
                &step.action
            else {
                continue;
            };
            let run = publishing.run.filter(|run| run.name == *name).map(|run| &run.definition);
            let Some(model) = run.or_else(|| self.model.services.get(service)) else { continue };
            if !may_publish(service, model, publishing)? {
                continue;
            }
            let default = self.default_address(model);
            let ports = model.ports.iter().map(|port| match port.host_ip.is_empty() {
                true => project::Port { host_ip: default.clone(), ..port.clone() },
                false => port.clone(),
            });
            let ports: Vec<_> = ports.collect();
            for (index, port) in ports.iter().enumerate() {
                check_translation(port).map_err(|failure| place(failure, service, index))?;
            }
            let old = replaces.as_ref().and_then(|old| old.id.clone().try_into().ok());
            let old = old.and_then(|id| self.containers.get(&id));
            let before = old.map(|live| live.record.ports.clone()).unwrap_or_default();
            let root = self.kernel_id();
            for (index, port) in ports.iter().enumerate() {
                let wanted = Wanted::of(port, publishing.auto)
                    .map_err(|failure| place(failure.because(Cause::Config), service, index))?;
                let of = (&port.host_ip, port.target, port.protocol);
                let purpose = format!("{root}/{service}/{number}/{}/{}/{}", of.0, of.1, of.2);
                let (service, port, before) = (service.clone(), port.clone(), before.clone());
                let step = step.id;
                claims.push(Claim { step, service, index, port, wanted, purpose, before });
            }
        }
        Ok(claims)
    }

    fn bind_claim(&mut self, claim: &Claim, taken: &Taken) -> Result<Port, Failure> {
        let none = Vec::new();
        let own = taken.ports.get(&claim.step).unwrap_or(&none);
        let own: Vec<_> = own.iter().map(|(_, port)| port.clone()).collect();
        let kept = choose::kept(&claim.wanted, &claim.port, &claim.before, &own);
        if let Some(kept) = kept.filter(|kept| self.ports.has(kept) && !taken.has(kept)) {
            return Ok(kept.clone());
        }
        let kept = kept.map(|port| port.host_port);
        let order = choose::order(&claim.wanted, kept, Free::of(&claim.purpose));
        self.bind_first(&claim.service, &claim.port, order, taken).map_err(|failure| {
            match claim.wanted.is_fixed() {
                true => failure,
                false => {
                    let range = claim.port.published.as_deref().unwrap_or_default();
                    let message = format!("no port of {range} is free: {}", failure.message);
                    Failure { message, ..failure }
                }
            }
        })
    }

    /// Binds the first of these ports that can be; the failure is about the first of them.
    fn bind_first(
        &mut self,
        service: &str,
        port: &project::Port,
        order: impl Iterator<Item = u16>,
        taken: &Taken,
    ) -> Result<Port, Failure> {
        let mut refused = None;
        for host_port in order {
            let publish = publish(port, host_port)?;
            let mut bound = self.bind_one(service, port, &publish, taken);
            for _ in 0..LETTING_GO {
                match &bound {
                    Err(error) if self.is_being_let_go(&publish, error) => {}
                    _ => break,
                }
                std::thread::sleep(Duration::from_millis(1));
                bound = self.bind_one(service, port, &publish, taken);
            }
            match bound {
                Ok(port) => return Ok(port),
                Err(error) => refused = refused.or(Some((publish, error))),
            }
        }
        Err(refused.map_or_else(Failure::default, |(publish, error)| {
            self.refused(&publish, &error.with_holder())
        }))
    }

    fn bind_one(
        &mut self,
        service: &str,
        port: &project::Port,
        publish: &Publish,
        taken: &Taken,
    ) -> Result<Port, ports::Error> {
        let named = |host_port| Port {
            host_ip: port.host_ip.clone(),
            host_port,
            container_port: port.target,
            protocol: port.protocol.to_string(),
        };
        let in_the_way: Vec<_> =
            self.ports.held.iter().filter(|(_, held)| held.bound.clashes(publish)).collect();
        let same = named(publish.host_port);
        let bound = match in_the_way.as_slice() {
            [] => ports::try_bind(publish)?,
            own if !own.iter().all(|(port, _)| self.is_given_up(port, taken)) => {
                ports::try_bind(publish)?
            }
            own => match own.iter().find(|(port, _)| host_side(port) == host_side(&same)) {
                Some((_, held)) => held.bound.duplicate().map_err(ports::Error::Inherit)?,
                None => {
                    let own: Vec<_> = own.iter().map(|(_, held)| &held.bound).collect();
                    ports::bind_beside(publish, &own)?
                }
            },
        };
        let port = named(bound.port());
        let sockets: Vec<_> = bound.sockets().iter().map(AsFd::as_fd).collect();
        if let Err(error) = self.link.send(&ToKeeper::Hold(port.clone()), &sockets) {
            // The next one is handed them with everything else.
            tracing::warn!(%error, port = key(&port), "the keeper could not take a port's sockets");
        }
        self.ports.held.insert(port.clone(), Held { bound, service: service.to_owned() });
        Ok(port)
    }

    /// Whether the containers that have this port end by the plan, and none that it makes has it.
    fn is_given_up(&self, port: &Port, taken: &Taken) -> bool {
        let mut owners =
            self.containers.iter().filter(|(_, live)| live.record.ports.contains(port));
        let mut has_one = false;
        let all_go = owners.all(|(id, _)| {
            has_one = true;
            taken.going.contains(id)
        });
        has_one && all_go && !taken.has(port)
    }

    /// Binds a container's recorded ports again where they were let go of. One that somebody else has now is replaced by
    /// another, where the file leaves that open.
    pub(in super::super) fn rebind_ports(&mut self, id: &ContainerId) -> Result<(), Box<Failure>> {
        let Some(live) = self.containers.get(id) else { return Ok(()) };
        let (service, ports) = (live.record.service.clone(), live.record.ports.clone());
        for (index, port) in ports.iter().enumerate() {
            if self.ports.has(port) {
                continue;
            }
            let recorded = project::Port {
                host_ip: port.host_ip.clone(),
                target: port.container_port,
                protocol: port.protocol.parse().unwrap_or_default(),
                ..project::Port::default()
            };
            let others = self.alternatives(id, port);
            let order = std::iter::once(port.host_port).chain(others);
            let bound = self
                .bind_first(&service, &recorded, order, &Taken::default())
                .map_err(|failure| place(failure.because(Cause::Conflict), &service, index))?;
            if bound != *port {
                self.replace_port(id, index, bound);
            }
        }
        Ok(())
    }

    /// The ports that would do as well as this one of a container.
    fn alternatives(&self, id: &ContainerId, port: &Port) -> Vec<u16> {
        let Some(live) = self.containers.get(id) else { return Vec::new() };
        let default = live.service.as_ref().map(|service| self.default_address(service));
        let default = default.unwrap_or_default();
        let is_its = |its: &&project::Port| is_of(its, &default, port);
        let ports = live.service.iter().flat_map(|service| &service.ports);
        let wanted = ports.filter(is_its).find_map(|port| Wanted::of(port, false).ok());
        let purpose = format!("{}/{}", self.kernel_id(), key(port));
        match wanted {
            // One that the file does not name was chosen freely (`--ports auto`).
            Some(Wanted::One(range)) if range.contains(&port.host_port) && range.len() == 1 => {
                Vec::new()
            }
            Some(wanted @ Wanted::One(_)) if !wanted.is_fixed() => {
                choose::order(&wanted, None, std::iter::empty()).collect()
            }
            Some(_) => choose::order(&Wanted::Any, None, Free::of(&purpose)).collect(),
            None => Vec::new(),
        }
    }

    fn replace_port(&mut self, id: &ContainerId, index: usize, port: Port) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let Some(own) = live.record.ports.get_mut(index) else { return };
        *own = port;
        let record = live.record.clone();
        if let Err(error) = self.save(&self.own.container_file(id), &record) {
            tracing::error!(container = %record.name, %error, "a new port could not be written down");
        }
    }
}

/// Whether a service has a network of its own to publish ports of.
fn may_publish(
    name: &str,
    service: &Service,
    publishing: &Publishing<'_>,
) -> Result<bool, Box<Failure>> {
    let mode = match &service.network_mode {
        _ if service.ports.is_empty() => return Ok(false),
        Some(NetworkMode::Host) => "host",
        Some(NetworkMode::None) => "none",
        Some(NetworkMode::Service(_) | NetworkMode::Container(_)) => {
            let message = format!(
                "service {name} shares the network of another container: the ports are published there, not here"
            );
            let failure = Failure { message, ..Failure::default() }.because(Cause::Config);
            return Err(Box::new(failure.at(format!("services.{name}.ports"))));
        }
        _ => return Ok(true),
    };
    publishing.tell(format!("published ports of {name} are discarded: `network_mode: {mode}`"));
    Ok(false)
}

/// The kernel translates no addresses of the loopback interface: what comes from there would never leave it.
fn check_translation(port: &project::Port) -> Result<(), Failure> {
    let is_loopback = port.host_ip.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if !(port.is_translated() && is_loopback) {
        return Ok(());
    }
    let message = format!("`x-naru-publish: nat` is not possible on {}", port.host_ip);
    let hint = "leave it out: the proxy serves the loopback interface".to_owned();
    Err(Failure { message, ..Failure::default() }.because(Cause::Config).hint(hint))
}

/// The containers that the plan ends.
fn going(plan: &Plan) -> BTreeSet<ContainerId> {
    let of = |action: &Action| match action {
        Action::CreateContainer { replaces: Some(old), hook: None, .. } => Some(old.id.clone()),
        Action::StopContainer { container: Subject::Existing { id, .. }, .. }
        | Action::RemoveContainer { container: Subject::Existing { id, .. }, .. } => {
            Some(id.clone())
        }
        _ => None,
    };
    plan.steps.iter().filter_map(|step| of(&step.action)?.try_into().ok()).collect()
}

fn publish(port: &project::Port, host_port: u16) -> Result<Publish, Failure> {
    let failed = |message| Failure { message, ..Failure::default() };
    let host_ip = match port.host_ip.as_str() {
        "" => None,
        text => Some(
            text.parse::<IpAddr>().map_err(|_| failed(format!("{text} is not an IP address")))?,
        ),
    };
    let protocol = match port.protocol {
        project::Protocol::Tcp => ports::Protocol::Tcp,
        project::Protocol::Udp => ports::Protocol::Udp,
        project::Protocol::Sctp => return Err(failed("SCTP ports cannot be published".to_owned())),
    };
    Ok(Publish { host_ip, host_port, protocol })
}

fn at(failure: Failure, claim: &Claim) -> Box<Failure> {
    place(failure.because(Cause::Conflict), &claim.service, claim.index)
}

fn place(failure: Failure, service: &str, index: usize) -> Box<Failure> {
    Box::new(failure.at(format!("services.{service}.ports.{index}")))
}
