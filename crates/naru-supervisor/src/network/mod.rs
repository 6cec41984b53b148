//! From what a file or a command line says about a network to what is made: subnets, options of the driver, and a
//! container's place in it; and the networks that several projects share.

mod clash;
mod describe;
mod options;
mod place;
pub mod predefined;
pub mod shared;
mod subnets;

pub use clash::{Clash, clashes};
pub use describe::{choose_alone, describe};
pub use options::{Options, UnknownOption, is_interface_name};
pub use place::{Asked, Chosen, Problem, choose_addresses, interface_names, parameters, senders};
pub use subnets::{Choice, Wrong, choose_subnets, driver};
