//! `naru system check`: whether what lies on disk and what the kernel has belong together, and taking away or setting
//! aside what does not. Looking changes nothing; no volume's content is ever touched.

mod kernel;
mod records;
mod repair;

use std::path::PathBuf;

use naru_image::{Flaw, Store};
use naru_state::{Directories, ProjectName, chain};

use crate::client::Client;
use crate::observe;

pub(crate) use kernel::role_of;
pub(crate) use repair::end;
pub use repair::repair;

/// Something that is damaged, or that nothing owns any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind, in one word.
    pub kind: &'static str,
    /// Which thing: a path, or a name.
    pub object: String,
    /// The project that it is of, where that can be told.
    pub project: Option<ProjectName>,
    /// What is wrong with it.
    pub problem: String,
    /// What sets it right.
    pub remedy: Remedy,
}

/// What is done about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The project's supervisor writes its records again from memory.
    Rewrite(PathBuf),
    /// It is moved into `NARU_ROOT/damaged`.
    SetAside(PathBuf),
    /// A container whose record cannot be read: what runs of it is ended, its directory is moved aside.
    SetContainerAside(naru_state::ContainerId),
    /// A file that only a command which has ended needed.
    Remove(PathBuf),
    /// The volume's record, or its folder, is made again; its content stays.
    MakeVolume(String),
    /// Processes in a control group that no record tells of are ended, and the group goes.
    RemoveGroup(String),
    /// Links of a group that no network of the project has.
    RemoveLinks(u32),
    /// A firewall table of a project that is down.
    RemoveTable(String),
    /// A mount that nothing uses.
    Unmount(PathBuf),
    /// A keeper or supervisor that nobody can talk to is ended; the next command starts others.
    End(naru_state::process::Identity),
    /// A part of the image store is moved aside.
    Image(Box<Flaw>),
    /// Only the user can tell.
    ByHand(&'static str),
}

/// Looks at everything of this root.
///
/// # Errors
/// When the directories cannot be read at all.
pub fn check(directories: &Directories) -> std::io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for name in observe::recorded_projects(directories)? {
        let own = directories.project(&name);
        // One that does not answer is found among the processes.
        let is_served = Client::connect(&own).is_ok_and(|client| client.is_some());
        let mut found = records::of_project(directories, &own, is_served);
        found.iter_mut().for_each(|finding| finding.project = Some(name.clone()));
        findings.append(&mut found);
    }
    findings.append(&mut records::of_volumes(directories)?);
    findings.append(&mut records::temporary(directories));
    findings.append(&mut kernel::left(directories));
    if directories.images().is_dir() {
        findings.append(&mut of_images(directories));
    }
    Ok(findings)
}

fn of_images(directories: &Directories) -> Vec<Finding> {
    let flaws = Store::open(&directories.images()).and_then(|store| store.check());
    match flaws {
        Ok(flaws) => flaws.into_iter().map(of_flaw).collect(),
        Err(error) => vec![Finding {
            kind: "image",
            object: directories.images().display().to_string(),
            project: None,
            problem: chain(&error),
            remedy: Remedy::ByHand("move the directory away and load the images again"),
        }],
    }
}

fn of_flaw(flaw: Flaw) -> Finding {
    let kind = match flaw.part {
        naru_image::Part::Layer(_) => "layer",
        naru_image::Part::Blob => "blob",
        naru_image::Part::Index | naru_image::Part::Image(_) => "image",
    };
    Finding {
        kind,
        object: flaw.path.display().to_string(),
        project: None,
        problem: flaw.problem.clone(),
        remedy: Remedy::Image(Box::new(flaw)),
    }
}
