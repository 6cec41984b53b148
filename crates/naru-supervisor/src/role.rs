//! What a keeper or a supervisor is started with: its arguments.

use std::ffi::OsString;

use naru_state::{Directories, ProjectName};

/// First argument of the process that is a project's keeper.
pub(crate) const KEEPER: &str = "keeper:";

/// First argument of the process that is a project's supervisor.
pub(crate) const SUPERVISOR: &str = "supervisor:";

/// Last argument of a keeper that takes over from another one, by way of its standard input.
const TAKES_OVER: &str = "takes-over";

/// What the two processes of a project know from their start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) directories: Directories,
    pub(crate) project: ProjectName,
    /// Soft and hard limit of open files as the first command had them: what containers get. The processes of a
    /// project raise their own.
    pub(crate) files: (u64, u64),
    /// Standard input is a link on which a keeper is told what to take over.
    pub(crate) takes_over: bool,
}

impl Role {
    /// The role of the first keeper of a project: with this process's limits.
    pub(crate) fn first(directories: &Directories, project: &ProjectName) -> std::io::Result<Self> {
        let files = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
        let (directories, project) = (directories.clone(), project.clone());
        Ok(Self { directories, project, files, takes_over: false })
    }

    /// The arguments that make a naru process be this.
    pub(crate) fn arguments(&self, role: &str) -> Vec<OsString> {
        let Self { directories, project, files: (soft, hard), takes_over } = self;
        let run = directories.run().parent().unwrap_or(directories.run());
        let mut arguments = vec![
            role.into(),
            directories.data().into(),
            run.into(),
            project.as_str().into(),
            format!("{soft}:{hard}").into(),
        ];
        if *takes_over {
            arguments.push(TAKES_OVER.into());
        }
        arguments
    }

    /// The role that these arguments (without the program's name) give, and its word.
    pub(crate) fn parse(arguments: &[String]) -> Option<(&str, Self)> {
        let [role, data, run, project, files, rest @ ..] = arguments else { return None };
        let (soft, hard) = files.split_once(':')?;
        let role = [KEEPER, SUPERVISOR].into_iter().find(|known| known == role)?;
        Some((
            role,
            Self {
                directories: Directories::new(data.into(), run.into()),
                project: ProjectName::new(project).ok()?,
                files: (soft.parse().ok()?, hard.parse().ok()?),
                takes_over: rest == [TAKES_OVER],
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_survives_its_arguments() {
        let role = Role {
            directories: Directories::new("/data".into(), "/run/naru".into()),
            project: ProjectName::new("shop").unwrap(),
            files: (1024, 4096),
            takes_over: true,
        };
        let arguments: Vec<_> =
            role.arguments(KEEPER).into_iter().map(|word| word.into_string().unwrap()).collect();
        assert_eq!(Role::parse(&arguments), Some((KEEPER, role)));
        assert_eq!(Role::parse(&["up".to_owned()]), None);
    }
}
