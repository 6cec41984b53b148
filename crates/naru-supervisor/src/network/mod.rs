//! From what a file or a command line says about a network to what is made: subnets, options of the driver, and a
//! container's place in it. Nothing here touches the kernel.

mod options;
mod place;
mod subnets;

pub use options::{Mode, Options, UnknownOption, is_interface_name};
pub use place::{Asked, Chosen, Problem, choose_addresses, interface_names, parameters};
pub use subnets::{Choice, Wrong, choose_subnets, driver};
