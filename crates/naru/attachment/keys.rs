//! The keys that detach a terminal from a container: one after the other, they are the user's and not passed on.

/// The keys, and how many of them have just been typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    typed: usize,
}

/// What becomes of a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// The container's.
    pub(super) passed: Vec<u8>,
    /// All keys were typed; what follows them is nobody's.
    pub(super) detached: bool,
}

impl Default for DetachKeys {
    /// Ctrl-P, Ctrl-Q.
    fn default() -> Self {
        Self { keys: vec![0x10, 0x11], typed: 0 }
    }
}

impl std::str::FromStr for DetachKeys {
    type Err = String;

    /// Keys with commas between them: a character, or `ctrl-` and a letter or one of `@[\]^_`.
    fn from_str(text: &str) -> Result<Self, String> {
        let key = |name: &str| {
            let control = name.strip_prefix("ctrl-").map(str::as_bytes);
            match (control, name.as_bytes()) {
                (Some([letter @ (b'a'..=b'z' | b'A'..=b'Z' | b'@' | b'['..=b'_')]), _) => {
                    Ok(letter & 0x1f)
                }
                (None, [character]) => Ok(*character),
                _ => Err(format!(
                    "{name:?} is no key: it must be a character, or ctrl- and a letter or one of @[\\]^_"
                )),
            }
        };
        Ok(Self { keys: text.split(',').map(key).collect::<Result<_, _>>()?, typed: 0 })
    }
}

impl DetachKeys {
    /// Takes what was typed. The first keys are held back until it is clear that they are not meant.
    pub(super) fn take(&mut self, input: &[u8]) -> Typed {
        let mut passed = Vec::new();
        for &byte in input {
            loop {
                if self.keys.get(self.typed) == Some(&byte) {
                    self.typed += 1;
                    break;
                }
                if self.typed == 0 {
                    passed.push(byte);
                    break;
                }
                // Not meant. What was held back goes on, but its end may be the keys' beginning.
                let held = &self.keys[..self.typed];
                let kept = (1..self.typed).rev().find(|&n| held.ends_with(&self.keys[..n]));
                let kept = kept.unwrap_or(0);
                passed.extend_from_slice(&held[..self.typed - kept]);
                self.typed = kept;
            }
            if self.typed == self.keys.len() {
                self.typed = 0;
                return Typed { passed, detached: true };
            }
        }
        Typed { passed, detached: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str, pieces: &[&str], passed: &str, detached: bool) {
        let mut keys: DetachKeys = keys.parse().unwrap();
        let mut all = Vec::new();
        let mut has_detached = false;
        for piece in pieces {
            let typed = keys.take(piece.as_bytes());
            all.extend(typed.passed);
            has_detached |= typed.detached;
        }
        assert_eq!((String::from_utf8(all).unwrap().as_str(), has_detached), (passed, detached));
    }

    #[test]
    fn the_keys_are_held_back_and_given_on_when_something_else_follows() {
        check("ctrl-p,ctrl-q", &["ab\x10", "\x11"], "ab", true);
        check("ctrl-p,ctrl-q", &["\x10x"], "\x10x", false);
        check("ctrl-p,ctrl-q", &["\x10", "\x10\x11"], "\x10", true);
        check("a,a,b", &["aaab"], "a", true);
        check("a,b,a,c", &["abab", "ac"], "ab", true);
        check("x", &["12x34"], "12", true);
    }

    #[test]
    fn keys_are_characters_or_control_and_a_letter() {
        assert_eq!("ctrl-p,ctrl-q".parse(), Ok(DetachKeys::default()));
        assert_eq!("ctrl-\\,z".parse(), Ok(DetachKeys { keys: vec![0x1c, b'z'], typed: 0 }));
        for wrong in ["", "ctrl-", "ctrl-1", "ab", "ctrl-p,"] {
            assert!(wrong.parse::<DetachKeys>().is_err(), "{wrong}");
        }
    }
}
