//! Random changes of inputs.

/// Numbers that look random and are the same for the same seed (xorshift).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`; 0 when that is 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit.max(1)
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// Inputs do not grow beyond this many bytes.
const LARGEST: usize = 16 << 10;

/// What Compose files consist of.
const WORDS: &[&str] = &[
    "services:",
    "\n  a:\n    ",
    "image: x\n",
    "build: .\n",
    "ports: [",
    "'80:80'",
    "'1-9:1-9/udp'",
    "volumes:",
    "- /a:/b:ro\n",
    "environment:",
    "A=1",
    "command: ",
    "extends: ",
    "{file: b.yaml, service: a}",
    "include: [b.yaml]\n",
    "depends_on: [a]\n",
    "!reset ",
    "!override ",
    "<<: *a\n",
    "&a ",
    "*a",
    "---\n",
    "...\n",
    "null",
    "~",
    "true",
    "yes",
    "0x1F",
    "1e3",
    "012",
    "2020-01-01",
    "${A:-",
    "${SET}",
    "$$",
    "}",
    "{",
    "[",
    "]",
    ", ",
    ": ",
    "- ",
    "? ",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "\\",
    "\t",
    "\r\n",
    "\u{feff}",
    "\0",
    "é",
    "\u{2028}",
    "# ",
    "x-a: ",
    "networks: ",
    "secrets: ",
    "configs: ",
    "models: ",
    "profiles: [p]\n",
    "deploy: {replicas: 2}\n",
    "healthcheck: {test: a}\n",
    "env_file: e\n",
    "label_file: e\n",
    "1m30s",
    "64m",
    "=== b.yaml\n",
    "=== .env\n",
    "=== e\n",
    "export ",
    "name: q\n",
    "tmpfs: /a\n",
    "extra_hosts: {a: 1.1.1.1}\n",
    "-1",
    ".inf",
    "gpus: all\n",
    "ulimits: {nofile: 3}\n",
    "expose: [80]\n",
    "dns: 1.1.1.1\n",
    "labels: [a=b]\n",
    "provider: {type: a}\n",
];

/// One of the inputs after a few changes.
pub(super) fn change(random: &mut Random, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut input = random.pick(inputs).clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(40)).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 => drop(input.drain(at..end)),
            2 => insert(&mut input, at, random.pick(WORDS).as_bytes()),
            3 => {
                let copy = input[at..end].to_vec();
                let place = random.below(input.len() + 1);
                insert(&mut input, place, &copy);
            }
            4 => {
                let copy = input[at..end].repeat(random.below(60));
                insert(&mut input, at, &copy);
            }
            5 => {
                let other = random.pick(inputs);
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                insert(&mut input, at, &other[from..to]);
            }
            6 => input.splice(at..end, random.pick(WORDS).bytes()).for_each(drop),
            _ => swap_lines(random, &mut input),
        }
    }
    input.truncate(LARGEST);
    input
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied()).for_each(drop);
}

fn swap_lines(random: &mut Random, input: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (one, other) = (random.below(lines.len()), random.below(lines.len()));
    lines.swap(one, other);
    *input = lines.join(&b'\n');
}
