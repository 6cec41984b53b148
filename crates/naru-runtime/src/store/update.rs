//! Other limits for a recorded container.

use oci_spec::runtime::LinuxResources;
use serde_json::Value;

use super::{Container, Error, Status};

impl Container {
    /// Changes its limits now: those that `resources` names, devices excepted, as [`Cgroup::update`](crate::Cgroup::update);
    /// its record has them too.
    ///
    /// # Errors
    /// [`Error::Status`] when it has ended.
    pub fn update(&mut self, resources: &LinuxResources) -> Result<(), Error> {
        let _lock = self.lock()?;
        match self.status()? {
            Status::Stopped | Status::Creating => {
                return Err(self.wrong_status("update", self.status()?));
            }
            Status::Created | Status::Running | Status::Paused => {}
        }
        // Engines send the rules for devices along, without those that every container has; the devices
        // of a container do not change.
        let mut limits = resources.clone();
        limits.set_devices(None);
        let resources = &limits;
        self.cgroup()?.update(resources)?;
        let record = self.record_mut();
        let mut linux = record.config.linux().clone().unwrap_or_default();
        let before = linux.resources().clone().unwrap_or_default();
        linux.set_resources(Some(merged(&before, resources)));
        record.config.set_linux(Some(linux));
        self.save()
    }
}

/// `before` with what `change` names.
fn merged(before: &LinuxResources, change: &LinuxResources) -> LinuxResources {
    let (Ok(mut all), Ok(change)) = (serde_json::to_value(before), serde_json::to_value(change))
    else {
        return before.clone();
    };
    merge(&mut all, change);
    serde_json::from_value(all).unwrap_or_else(|_| before.clone())
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let parse = |text| serde_json::from_str::<LinuxResources>(text).unwrap();
        let before = parse(r#"{"memory": {"limit": 1, "swap": 2}, "pids": {"limit": 3}}"#);
        let change = parse(r#"{"memory": {"limit": 5}, "cpu": {"shares": 7}}"#);
        let expected = parse(
            r#"{"memory": {"limit": 5, "swap": 2}, "pids": {"limit": 3}, "cpu": {"shares": 7}}"#,
        );
        assert_eq!(merged(&before, &change), expected);
    }
}
