//! Colours, always an addition to words that say the same.

/// A foreground colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour(u8);

impl Colour {
    /// Errors.
    pub(crate) const RED: Self = Self(31);
    /// What is done.
    pub(crate) const GREEN: Self = Self(32);
    /// Warnings, and what is under way.
    pub(crate) const YELLOW: Self = Self(33);
    /// Hints.
    pub(crate) const CYAN: Self = Self(36);

    /// The colour of a service's prefix: the same in every run and every project.
    pub(crate) fn of_service(service: &str) -> Self {
        const COLOURS: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];
        // FNV-1a: short names that differ in one letter land apart.
        let hash = service.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let fold = hash ^ (hash >> 32);
        Self(COLOURS[usize::try_from(fold % 10).unwrap_or(0)])
    }

    /// `text` in this colour when `on`.
    pub(crate) fn paint(self, text: &str, on: bool) -> String {
        if on { format!("\x1b[{}m{text}\x1b[0m", self.0) } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_its_colour_and_usual_names_differ() {
        assert_eq!(Colour::of_service("web"), Colour::of_service("web"));
        let colours: Vec<_> = ["web", "db", "api"].map(Colour::of_service).to_vec();
        assert!(colours[0] != colours[1] && colours[1] != colours[2], "{colours:?}");
    }
}
