//! `cargo xtask images`: the base images of the samples and tests, made where no image registry can be reached.
//!
//! Each image is one folder of `assets/`: `build.sh` fills a staging folder, `rootfs/` is laid over it, `image.json` is
//! the `config` object of the image. The result is one layer on top of the layers of the images named in
//! [`Recipe::below`], so that a store keeps the Debian root and Node once. Everything is cached under a key made of its
//! inputs; a second run only compares keys.

mod archive;
mod layer;
mod smoke;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use fs_err as fs;

use crate::debian;
use crate::task::{self, step};
use archive::Image;
use layer::{Layer, Workshop};

/// What to make, where to, and whether to load it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Images to make, e.g. `busybox` or `postgres:15` (default: all)
    pub(crate) images: Vec<String>,
    /// Where the archives go (default: $NARU_IMAGES, else target/images)
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    /// The naru that loads them (default: the one beside this xtask)
    #[arg(long, value_name = "PATH")]
    pub(crate) naru: Option<PathBuf>,
    /// Only write the archives
    #[arg(long)]
    pub(crate) no_load: bool,
    /// Make everything again, with the newest packages
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Try the servers afterwards: the MongoDB stand-in's tests, and the images in roots of their own
    #[arg(long)]
    pub(crate) test: bool,
}

/// How one image is made.
#[derive(Debug)]
struct Recipe {
    /// The name a Compose file uses.
    reference: &'static str,
    /// Its folder in `assets/`.
    folder: &'static str,
    /// The folders whose layers lie below, lowest first.
    below: &'static [&'static str],
    /// A further input: a folder of the workspace.
    source: Option<&'static str>,
}

const API: &str = "compose-samples/nest-postgres-mongo";

/// In this order; `debian` is first because the others need its root.
const RECIPES: [Recipe; 6] = [
    Recipe { reference: "debian:bookworm-slim", folder: "debian", below: &[], source: None },
    Recipe { reference: "busybox:latest", folder: "busybox", below: &[], source: None },
    Recipe {
        reference: "nest-api:dev",
        folder: "nest-api",
        below: &["debian", "node"],
        source: Some(API),
    },
    Recipe { reference: "postgres:15", folder: "postgres", below: &["debian"], source: None },
    Recipe { reference: "node:20", folder: "node", below: &["debian"], source: None },
    Recipe { reference: "mongo:7", folder: "mongo", below: &["debian", "node"], source: None },
];

/// Two rounds of two lanes each, for two cores: the second round copies from the Debian root that the first made.
const ROUNDS: [[&[&str]; 2]; 2] =
    [[&["debian"], &["busybox", "nest-api"]], [&["postgres"], &["node", "mongo"]]];

/// Makes the images that are not up to date, loads them into naru's store and, if asked, tries them.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !task::is_root() {
        bail!("image layers hold files of several owners: run `cargo xtask images` as root");
    }
    let recipes = wanted(&options.images)?;
    let workshop = Workshop::open(output(options))?;
    if options.refresh {
        workshop.clear()?;
    }
    let archives = step("images", || make(&workshop, &recipes))?;
    if options.test {
        if !options.images.is_empty() {
            bail!("--test tries the images together: leave out the names");
        }
        step("tests of the MongoDB stand-in", || smoke::stand_in(&workshop))?;
        step("the images in roots of their own", || smoke::images(&workshop, &recipes, &archives))?;
    }
    if !options.no_load {
        let naru = options.naru.clone().unwrap_or_else(|| task::built("debug").join("naru"));
        step("load", || load(&naru, &archives))?;
    }
    Ok(())
}

/// The folder the archives are in.
pub(crate) fn output(options: &Options) -> PathBuf {
    let configured =
        options.output.clone().or_else(|| std::env::var_os("NARU_IMAGES").map(PathBuf::from));
    configured.unwrap_or_else(|| task::workspace().join("target/images"))
}

fn wanted(names: &[String]) -> Result<Vec<&'static Recipe>> {
    for name in names {
        if !RECIPES.iter().any(|recipe| recipe.is_called(name)) {
            let known: Vec<&str> = RECIPES.iter().map(|recipe| recipe.reference).collect();
            bail!("no recipe for the image {name}; there are {}", known.join(", "));
        }
    }
    let asked =
        |recipe: &&Recipe| names.is_empty() || names.iter().any(|name| recipe.is_called(name));
    Ok(RECIPES.iter().filter(asked).collect())
}

/// Layers first, in parallel lanes, then one archive per image.
fn make(workshop: &Workshop, recipes: &[&'static Recipe]) -> Result<Vec<PathBuf>> {
    let needed: Vec<&Recipe> = RECIPES
        .iter()
        .filter(|recipe| recipes.iter().any(|image| image.needs(recipe.folder)))
        .collect();
    if needed.iter().any(|recipe| !workshop.is_made(recipe)) {
        debian::ensure(&[("mmdebstrap", "mmdebstrap"), ("npm", "npm"), ("unshare", "util-linux")])?;
    }
    for round in ROUNDS {
        let lane = |folders: &[&str]| -> Result<()> {
            let mut ours = folders
                .iter()
                .filter_map(|folder| needed.iter().find(|recipe| recipe.folder == *folder));
            ours.try_for_each(|recipe| workshop.layer(recipe).map(drop))
        };
        let [first, second] = round;
        std::thread::scope(|scope| {
            let other = scope.spawn(|| lane(second));
            lane(first).and(other.join().expect("a lane does not panic"))
        })?;
    }
    recipes.iter().map(|recipe| package(workshop, recipe)).collect()
}

/// Writes the archive of one image, unless it is there with the same content.
fn package(workshop: &Workshop, recipe: &Recipe) -> Result<PathBuf> {
    let folders = recipe.below.iter().copied().chain([recipe.folder]);
    let layers =
        folders.map(|folder| workshop.layer(find(folder))).collect::<Result<Vec<Layer>>>()?;
    let config = fs::read(workshop.asset(recipe.folder).join("image.json"))?;
    let config = serde_json::from_slice(&config)
        .with_context(|| format!("cannot read image.json of {}", recipe.folder))?;
    let image = Image { reference: recipe.reference, config, layers };
    let path = workshop.output().join(format!("{}.tar", recipe.file_name()));
    if archive::write(&image, &path)? {
        eprintln!("    {} -> {}", recipe.reference, path.display());
    }
    Ok(path)
}

/// Loads the archives that naru's store does not have yet.
fn load(naru: &std::path::Path, archives: &[PathBuf]) -> Result<()> {
    if !naru.exists() {
        bail!(
            "there is no {}: build it (`cargo build`), name it with --naru, or use --no-load",
            naru.display()
        );
    }
    let known = task::output(Command::new(naru).args(["image", "ls", "--format", "json"]))?;
    for path in archives {
        let id = archive::image_id(path)?;
        // Listings show the first twelve digits, as Docker does.
        if known.contains(&id[..12]) {
            continue;
        }
        task::run(Command::new(naru).args(["image", "load", "-i"]).arg(path))?;
    }
    Ok(())
}

fn find(folder: &str) -> &'static Recipe {
    RECIPES.iter().find(|recipe| recipe.folder == folder).expect("`below` names folders of recipes")
}

impl Recipe {
    fn is_called(&self, name: &str) -> bool {
        self.reference == name || self.reference.strip_suffix(":latest") == Some(name)
    }

    fn needs(&self, folder: &str) -> bool {
        self.folder == folder || self.below.contains(&folder)
    }

    /// `postgres:15` is `postgres-15`, `busybox:latest` is `busybox`.
    fn file_name(&self) -> String {
        self.reference.trim_end_matches(":latest").replace(':', "-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_asked_for_with_or_without_the_tag_latest() {
        let names = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
            wanted(&asked)
                .map(|recipes| recipes.iter().map(|recipe| recipe.file_name()).collect::<Vec<_>>())
        };
        assert_eq!(names(&["busybox"]).unwrap(), ["busybox"]);
        assert_eq!(names(&["busybox:latest", "postgres:15"]).unwrap(), ["busybox", "postgres-15"]);
        assert_eq!(names(&[]).unwrap().len(), RECIPES.len());
        assert!(
            names(&["redis"]).unwrap_err().to_string().contains("no recipe for the image redis")
        );
    }

    #[test]
    fn every_layer_is_made_in_a_round_after_those_it_needs() {
        let round = |folder: &str| ROUNDS.iter().position(|round| round.concat().contains(&folder));
        for recipe in &RECIPES {
            assert!(round(recipe.folder).is_some(), "{} is in no round", recipe.folder);
            // Only the Debian root is read while other layers are made.
            assert!(recipe.folder == "debian" || round("debian") <= round(recipe.folder));
        }
    }

    #[test]
    fn lock_files_name_no_registry() {
        let locks = ["crates/xtask/assets/mongo/stand-in", API]
            .map(|folder| task::workspace().join(folder));
        for lock in locks.map(|folder| folder.join("package-lock.json")) {
            let text = fs::read_to_string(&lock).unwrap();
            assert!(
                !text.contains("\"resolved\""),
                "{} records where packages came from",
                lock.display()
            );
        }
    }
}
