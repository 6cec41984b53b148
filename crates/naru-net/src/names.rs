//! Names the kernel sees: interfaces (at most 15 bytes), link groups and firewall tables.
//!
//! They are hashed from ids, so that whoever knows the id finds the object again without a record.

/// What every bridge made by naru is called first.
pub const BRIDGE_PREFIX: &str = "nb-";

/// What the host's end of every container's link is called first.
const HOST_SIDE_PREFIX: &str = "nv-";

/// What the far end of a pair is called first.
const FAR_END_PREFIX: &str = "nf-";

/// The bit that the groups of all of naru's links have, and those that people choose have not.
pub(crate) const OWN_GROUPS: u32 = 1 << 30;

const TABLE_PREFIX: &str = "naru-";

/// The name of the bridge of the network with this id.
pub fn bridge(network: &str) -> String {
    format!("{BRIDGE_PREFIX}{:012x}", hash(network) & 0xffff_ffff_ffff)
}

/// Whether a bridge has the name that naru gives, not one that a user has asked for.
pub fn is_bridge(name: &str) -> bool {
    name.starts_with(BRIDGE_PREFIX)
}

/// Whether an interface of a project's group stands for a network: its bridge, or the parent of its links, whatever
/// they are called.
pub fn is_of_network(name: &str) -> bool {
    !name.starts_with(HOST_SIDE_PREFIX) && !name.starts_with(FAR_END_PREFIX)
}

/// Whether an interface has a name that naru gives, whatever it is for.
pub(crate) fn is_own(name: &str) -> bool {
    is_bridge(name) || !is_of_network(name)
}

/// The other end of the pair that is the parent of links which nobody outside is to reach; `own` is this end.
pub(crate) fn far_end(own: &str) -> String {
    format!("{FAR_END_PREFIX}{:012x}", hash(own) & 0xffff_ffff_ffff)
}

/// The name of the host's end of the link between a container and a network.
pub fn host_side(container: &str, network: &str) -> String {
    let id = hash(&format!("{container}\0{network}"));
    format!("{HOST_SIDE_PREFIX}{:012x}", id & 0xffff_ffff_ffff)
}

/// The group of all links of a project: never 0, the kernel's default, and above the small numbers
/// that people choose by hand.
pub fn group(project: &str) -> u32 {
    let low = u32::try_from(hash(project) & u64::from(OWN_GROUPS - 1)).expect("masked to 30 bits");
    OWN_GROUPS | low
}

/// The firewall table of a project.
pub(crate) fn table(project: &str) -> String {
    format!("{TABLE_PREFIX}{project}")
}

/// The project a firewall table belongs to, if it is one of naru's.
pub(crate) fn project_of(table: &str) -> Option<String> {
    table.strip_prefix(TABLE_PREFIX).map(str::to_owned)
}

/// FNV-1a: short, and the same in every version of naru, which the names on a running host need.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernel_and_differ_by_id() {
        for name in [bridge("shop_default"), host_side("shop-web-1", "shop_default")] {
            assert_eq!(name.len(), 15);
        }
        assert_ne!(bridge("a"), bridge("b"));
        assert!(
            is_of_network(&bridge("a")) && is_of_network("br-shop") && is_of_network("eth0.50")
        );
        assert!(!is_of_network(&host_side("a", "b")) && !is_of_network(&far_end("nb-0")));
        assert!(is_bridge(&bridge("a")) && !is_bridge("br-shop"));
        assert_ne!(host_side("ab", "c"), host_side("a", "bc"));
        assert!(group("") >= 1 << 30 && group("shop") < 1 << 31);
    }
}
