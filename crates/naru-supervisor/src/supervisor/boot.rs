//! After a restart of the machine: bringing back what its restart policies ask for, dependencies first.

use std::collections::BTreeSet;

use naru_plan::Plan;
use naru_state::ContainerId;

use super::Supervisor;
use super::container::Live;
use super::control::Client;
use super::operation::{Operation, Then};
use super::ports::Publishing;
use crate::protocol::Failure;

impl Supervisor {
    /// Begins to bring back what is to come back.
    pub(super) fn begin_boot(&mut self, client: &Client) -> Result<(), Box<Failure>> {
        let plan = self.plan_boot();
        self.bind_all(&plan, &Publishing::default())?;
        let id = self.next_operation();
        let mut operation = Operation::new(id, plan, client.clone(), Then::Answer);
        operation.comes_up = true;
        self.operation = Some(operation);
        Ok(())
    }

    /// What of the project comes back.
    pub(super) fn plan_boot(&self) -> Plan {
        let ids = |is_meant: fn(&Live) -> bool| -> BTreeSet<String> {
            let stopped = self.containers.iter().filter(|(_, live)| live.running.is_none());
            let meant = stopped.filter(|(_, live)| is_meant(live));
            meant.map(|(id, _): (&ContainerId, _)| id.as_str().to_owned()).collect()
        };
        let returning = ids(|live| crate::boot::comes_back(&live.policy(), &live.state));
        let lost = ids(|live| live.state.was_lost() && !live.state.stopped_by_user);
        naru_plan::boot(self.known_model(), &self.observed(), &returning, &lost)
    }
}
