//! Project tasks: `cargo xtask test`, `images`, `demo`, `bench`.

fn main() {}
