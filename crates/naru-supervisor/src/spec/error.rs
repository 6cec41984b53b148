//! Why a service has no specification.

/// A service that asks for something that does not exist or that naru cannot do. The attribute is named,
/// so that the caller can add the service and the place in the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An attribute that naru cannot honour.
    #[error("{attribute} is not supported yet")]
    Unsupported {
        /// The attribute, with its value where only that is the problem.
        attribute: String,
    },
    /// A value that means nothing, or something that cannot be.
    #[error("{attribute}: {problem}")]
    Invalid {
        /// The attribute.
        attribute: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Neither the service nor its image says what to run.
    #[error("no command specified, neither in the file nor by the image")]
    NoCommand,
    /// A user that the container does not have.
    #[error("cannot run a command as user {user:?}")]
    User {
        /// As it was asked for.
        user: String,
        /// Why not; boxed because it is large beside the other errors.
        source: Box<naru_image::rootfs::UserError>,
    },
    /// The specification cannot be put together.
    #[error("cannot put the container's specification together")]
    Specification(#[from] oci_spec::OciSpecError),
}

impl Error {
    /// The service's attribute that is to blame, such as `ulimits.nofile`.
    pub fn attribute(&self) -> &str {
        match self {
            Self::Unsupported { attribute } => attribute.split(' ').next().unwrap_or_default(),
            Self::Invalid { attribute, .. } => attribute,
            Self::NoCommand => "command",
            Self::User { .. } => "user",
            Self::Specification(_) => "",
        }
    }

    pub(super) fn invalid(attribute: &str, problem: impl Into<String>) -> Self {
        Self::Invalid { attribute: attribute.to_owned(), problem: problem.into() }
    }

    pub(super) fn unsupported(attribute: impl Into<String>) -> Self {
        Self::Unsupported { attribute: attribute.into() }
    }
}
