//! How the trees of several files become one.

mod convert;
mod rules;
mod trees;
mod unicity;

pub(crate) use convert::{
    build_to_map, dependency, hosts_to_list, names_to_map, nothing, pairs_to_map, refuse_spaces,
    text_to_list,
};
pub(crate) use trees::{merge, merge_resource, merge_service};
pub(crate) use unicity::unify;
