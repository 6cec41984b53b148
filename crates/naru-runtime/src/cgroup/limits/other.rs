//! `linux.resources`: processes, huge pages, RDMA, the network's classes, and files of v2 by their names.

use oci_spec::runtime::{LinuxHugepageLimit, LinuxNetwork, LinuxPids, LinuxResources};

use super::{Place, Writer};
use crate::Error;

impl Writer<'_> {
    /// Below 0 is no limit, 0 leaves what is there.
    pub(super) fn pids(&mut self, pids: &LinuxPids) -> Result<(), Error> {
        let value = match pids.limit() {
            0 => return Ok(()),
            ..0 => "max".to_owned(),
            limit => limit.to_string(),
        };
        let place = self.place("pids", "linux.resources.pids.limit")?;
        self.write(place, "pids.max", "pids.max", value);
        Ok(())
    }

    /// Used and reserved pages have the same limit, since a page that is mapped and not used is one the others
    /// cannot have.
    pub(super) fn hugepages(&mut self, limit: &LinuxHugepageLimit) -> Result<(), Error> {
        const FIELD: &str = "linux.resources.hugepageLimits";
        let size = limit.page_size();
        let digits = size.trim_end_matches(['K', 'M', 'G', 'B']);
        let unit = size.strip_prefix(digits).unwrap_or_default();
        if digits.parse::<u32>().is_err() || !["KB", "MB", "GB"].contains(&unit) {
            let reason = format!("the page size {size} is not a number with KB, MB or GB");
            return Err(Error::invalid(FIELD, reason));
        }
        let place = self.place("hugetlb", FIELD)?;
        let (end, value) = match place {
            Place::V1(_) => ("limit_in_bytes", limit.limit().max(-1).to_string()),
            Place::V2(_) if limit.limit() < 0 => ("max", "max".to_owned()),
            Place::V2(_) => ("max", limit.limit().to_string()),
        };
        let index = place.index();
        self.push(index, [(format!("hugetlb.{size}.{end}").into(), value.clone())], false);
        self.push(index, [(format!("hugetlb.{size}.rsvd.{end}").into(), value)], true);
        Ok(())
    }

    pub(super) fn rdma(&mut self, resources: &LinuxResources) -> Result<(), Error> {
        let mut devices: Vec<_> = resources.rdma().iter().flatten().collect();
        devices.sort_by_key(|(name, _)| *name);
        for (name, limit) in devices {
            let mut line = name.clone();
            for (word, value) in
                [("hca_handle", limit.hca_handles()), ("hca_object", limit.hca_objects())]
            {
                if let Some(value) = value {
                    line.push_str(&format!(" {word}={value}"));
                }
            }
            if line == *name {
                continue;
            }
            let place = self.place("rdma", "linux.resources.rdma")?;
            self.write(place, "rdma.max", "rdma.max", line);
        }
        Ok(())
    }

    /// Only v1 has these; v2 leaves them to the firewall.
    pub(super) fn network(&mut self, network: &LinuxNetwork) -> Result<(), Error> {
        if let Some(class) = network.class_id().filter(|class| *class != 0) {
            let place = self.v1_place("net_cls", "linux.resources.network.classID")?;
            self.write(place, "net_cls.classid", "", class.to_string());
        }
        for interface in network.priorities().iter().flatten() {
            let place = self.v1_place("net_prio", "linux.resources.network.priorities")?;
            let line = format!("{} {}", interface.name(), interface.priority());
            self.write(place, "net_prio.ifpriomap", "", line);
        }
        Ok(())
    }

    /// Files of cgroup v2 by their names, sorted; the controller is what comes before the dot. The kernel takes
    /// one line at a time, so that several lines are several writes.
    pub(super) fn unified(&mut self, resources: &LinuxResources) -> Result<(), Error> {
        let field = "linux.resources.unified";
        let mut files: Vec<_> = resources.unified().iter().flatten().collect();
        files.sort();
        for (name, value) in files {
            let controller = name.split('.').next().unwrap_or_default();
            if name.contains('/') || controller.is_empty() || controller == *name {
                return Err(Error::invalid(field, format!("{name} is no file's name")));
            }
            let unified = self.hierarchies.iter().position(super::MountedHierarchy::is_unified);
            let place = match unified {
                // Files that every group has.
                Some(index) if controller == "cgroup" => Place::V2(index),
                _ => self.place(controller, field)?,
            };
            let Place::V2(index) = place else {
                let detail = format!("invalid configuration, {name} on cgroup v1");
                return Err(Error::unsupported_value(field, detail));
            };
            for line in value.lines() {
                self.push(index, [(name.clone().into(), line.to_owned())], false);
            }
        }
        Ok(())
    }
}
