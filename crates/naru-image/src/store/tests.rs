use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::import::{Changes, Import};
use crate::progress::Event;
use crate::testing::{Tar, TempDir, config, docker_archive, gzip, listing};

use super::*;

fn store() -> (TempDir, Store) {
    let dir = TempDir::new();
    let store = Store::open(&dir.path().join("images")).unwrap();
    (dir, store)
}

fn quiet() -> impl FnMut(Event) {
    |_event| {}
}

fn layer(name: &str) -> Vec<u8> {
    Tar::new().file(name, name.as_bytes()).end()
}

fn load(store: &Store, layers: &[&[u8]], tags: &[&str]) -> Digest {
    let archive = docker_archive(&config(layers), layers, tags);
    store.load(&archive[..], &mut quiet()).unwrap()[0].id
}

fn names(store: &Store) -> Vec<String> {
    let images = store.list().unwrap();
    images
        .iter()
        .map(|image| image.names.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"))
        .collect()
}

/// The files below a directory of the store, by name.
fn files(store: &Store, directory: &str) -> usize {
    fs::read_dir(store.root().join(directory)).unwrap().count()
}

#[test]
fn the_store_is_an_oci_layout_nobody_else_can_look_into() {
    let (_dir, store) = store();
    load(&store, &[&layer("a")], &["app:1", "app:2"]);
    assert_eq!(fs::metadata(store.root()).unwrap().permissions().mode() & 0o777, 0o700);
    let layout = fs::read_to_string(store.root().join("oci-layout")).unwrap();
    assert_eq!(layout, r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: Value =
        serde_json::from_slice(&fs::read(store.root().join("index.json")).unwrap()).unwrap();
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| manifest["annotations"][NAME].as_str().unwrap())
        .collect();
    assert_eq!(names, ["docker.io/library/app:1", "docker.io/library/app:2"]);
    for blob in fs::read_dir(store.root().join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let digest = Digest::of(&fs::read(&path).unwrap());
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), digest.hex());
    }
}

#[test]
fn images_are_found_by_name_id_and_beginning_of_id() {
    let (_dir, store) = store();
    let id = load(&store, &[&layer("a")], &["app:1", "other/app"]);
    let manifest = store.find("app:1").unwrap().unwrap().manifest;
    let pinned = format!("app@{manifest}");
    for name in [
        "app:1",
        "docker.io/library/app:1",
        "other/app:latest",
        &id.to_string(),
        &id.hex(),
        &id.short(),
        &pinned,
    ] {
        assert_eq!(store.find(name).unwrap().map(|image| image.id), Some(id), "{name}");
    }
    for name in
        ["app", "app:2", "other", "", "../x", "sha256:", "zz", "\0", &format!("else@{manifest}")]
    {
        assert!(store.find(name).unwrap().is_none(), "{name:?}");
    }
}

#[test]
fn an_image_that_cannot_be_looked_at_is_an_error_and_a_damaged_one_hides_no_other() {
    let (_dir, store) = store();
    let id = load(&store, &[&layer("a")], &["app"]);
    let other = load(&store, &[&layer("b")], &["other"]);
    let manifest = store.find("app").unwrap().unwrap().manifest;
    let blob = store.blob(manifest);
    fs::write(&blob, "damaged").unwrap();
    assert_eq!(store.find(&other.hex()).unwrap().map(|image| image.id), Some(other));
    // As good as any reason for which a file that is there cannot be opened.
    fs::remove_file(&blob).unwrap();
    std::os::unix::fs::symlink(&blob, &blob).unwrap();
    let error = store.find(&id.hex()).unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
}

#[test]
fn a_name_that_is_loaded_again_leaves_the_old_image_without_one() {
    let (_dir, store) = store();
    let old = load(&store, &[&layer("old")], &["app"]);
    let new = load(&store, &[&layer("new")], &["app"]);
    assert_eq!(store.find("app").unwrap().unwrap().id, new);
    assert_eq!(names(&store), ["app:latest", ""]);
    assert!(store.find(&old.to_string()).unwrap().unwrap().names.is_empty());
    load(&store, &[&layer("old")], &["app"]);
    assert_eq!(store.find("app").unwrap().unwrap().id, old);
}

#[test]
fn removing_keeps_whatever_another_image_uses() {
    let (_dir, store) = store();
    let (shared, one, two) = (layer("shared"), layer("one"), layer("two"));
    load(&store, &[&shared, &one], &["one"]);
    load(&store, &[&shared, &two], &["two"]);
    let kept = store.lower_dirs(&store.find("two").unwrap().unwrap()).unwrap();
    let before: Vec<_> = kept.iter().map(|path| listing(path)).collect();
    let removed = store.remove("one", &[]).unwrap();
    assert_eq!(removed.layers, [Digest::of(&one)]);
    assert_eq!(names(&store), ["two:latest"]);
    assert_eq!(kept.iter().map(|path| listing(path)).collect::<Vec<_>>(), before);
    assert_eq!(files(&store, "blobs/sha256"), 4);
    store.remove("two", &[]).unwrap();
    assert_eq!(
        (files(&store, "blobs/sha256"), files(&store, "layers"), files(&store, "tmp")),
        (0, 1, 0)
    );
}

#[test]
fn an_image_goes_with_its_last_name_unless_a_container_uses_it() {
    let (_dir, store) = store();
    let id = load(&store, &[&layer("a")], &["app:1", "app:2"]);
    let removed = store.remove("app:1", &[id]).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted), (1, None));
    assert!(matches!(store.remove("app:2", &[id]), Err(Error::InUse { .. })));
    assert!(matches!(store.remove(&id.hex(), &[id]), Err(Error::InUse { .. })));
    assert_eq!(names(&store), ["app:2"]);
    assert_eq!(store.remove("app:2", &[]).unwrap().deleted, Some(id));
    let error = store.remove("app:2", &[]).unwrap_err();
    assert_eq!(error.to_string(), "\"app:2\" is no image of this store");
}

#[test]
fn an_id_removes_the_image_with_all_its_names() {
    let (_dir, store) = store();
    let id = load(&store, &[&layer("a")], &["app:1", "app:2"]);
    assert_eq!(store.remove(&id.short(), &[]).unwrap().untagged.len(), 2);
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn a_damaged_image_stops_a_removal_before_anything_is_lost() {
    let (_dir, store) = store();
    load(&store, &[&layer("one")], &["one"]);
    let two = load(&store, &[&layer("two")], &["two"]);
    fs::write(store.blob(two), "rubbish").unwrap();
    assert!(store.remove("one", &[]).is_err());
    assert_eq!(store.find("one").unwrap().unwrap().names.len(), 1);
    assert!(store.find("two").unwrap_err().to_string().contains("does not match its name"));
    store.remove("two", &[]).unwrap();
    store.remove("one", &[]).unwrap();
}

#[test]
fn tagging_moves_a_name() {
    let (_dir, store) = store();
    load(&store, &[&layer("a")], &["a"]);
    load(&store, &[&layer("b")], &["b"]);
    let a = store.find("a").unwrap().unwrap();
    store.tag(&a, &"b".parse().unwrap()).unwrap();
    assert_eq!(names(&store), ["a:latest+b:latest", ""]);
}

#[test]
fn what_a_crash_left_is_gone_after_the_next_opening() {
    let (dir, store) = store();
    let stale = store.root().join("tmp/999999-0");
    fs::create_dir_all(stale.join("deep/er")).unwrap();
    fs::write(store.root().join("tmp/file"), "x").unwrap();
    let working = Temp::new(&store).unwrap();
    Store::open(&dir.path().join("images")).unwrap();
    assert!(!stale.exists());
    assert!(working.path().exists(), "work of a living process stays");
    assert_eq!(files(&store, "tmp"), 1);
}

#[test]
fn a_layer_another_tool_did_not_unpack_is_unpacked_when_used() {
    let (_dir, store) = store();
    load(&store, &[&layer("a"), &layer("b")], &["app"]);
    let image = store.find("app").unwrap().unwrap();
    crate::tree::remove(&store.layer_dir(image.layers[1])).unwrap();
    let lower = store.lower_dirs(&image).unwrap();
    assert_eq!(fs::read(lower[0].join("b")).unwrap(), b"b");
    crate::tree::remove(&store.layer_dir(image.layers[0])).unwrap();
    fs::write(store.blob(image.blobs[0]), gzip(&layer("changed"))).unwrap();
    assert!(store.lower_dirs(&image).is_err(), "a changed blob must not become a layer");
    assert_eq!(files(&store, "tmp"), 0);
}

#[test]
fn a_layer_that_hides_everything_ends_the_list() {
    let (_dir, store) = store();
    let opaque = Tar::new().file(".wh..wh..opq", b"").file("only", b"").end();
    load(&store, &[&layer("hidden"), &opaque, &layer("top")], &["app"]);
    let image = store.find("app").unwrap().unwrap();
    let lower: Vec<PathBuf> = store.lower_dirs(&image).unwrap();
    assert_eq!(lower, [store.layer_dir(image.layers[2]), store.layer_dir(image.layers[1])]);
}

#[test]
fn an_image_without_layers_has_an_empty_root() {
    let (_dir, store) = store();
    load(&store, &[], &["nothing"]);
    let lower = store.lower_dirs(&store.find("nothing").unwrap().unwrap()).unwrap();
    assert_eq!(fs::read_dir(&lower[0]).unwrap().count(), 0);
}

#[test]
fn many_loaders_and_removers_at_once_leave_a_sound_store() {
    let (_dir, store) = store();
    let shared = layer("shared");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (store, shared) = (&store, &shared);
            scope.spawn(move || {
                let store = Store::open(store.root()).unwrap();
                let own = layer(&format!("own{number}"));
                for _ in 0..5 {
                    let name = format!("app{number}");
                    load(&store, &[shared, &own], &[&name]);
                    let image = store.find(&name).unwrap().unwrap();
                    let lower = store.lower_dirs(&image).unwrap();
                    assert_eq!(fs::read(lower[1].join("shared")).unwrap(), b"shared");
                    store.list().unwrap();
                    if number % 2 == 0 {
                        store.remove(&name, &[]).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(names(&store), ["app1:latest", "app3:latest"]);
    assert_eq!((files(&store, "tmp"), files(&store, "layers")), (0, 7));
    assert!(store.disk_usage().unwrap().layers > 0);
}

#[test]
fn a_store_of_a_newer_naru_is_left_alone() {
    let (_dir, store) = store();
    fs::write(store.root().join("naru.json"), r#"{"version":2}"#).unwrap();
    let error = Store::open(store.root()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image store has version 2, this naru knows versions up to 1"
    );
}

#[test]
fn a_root_file_system_becomes_an_image_of_one_layer() {
    let rootfs = Tar::new().dir("./", 0o755).dir("./bin/", 0o755).file("./bin/sh", b"shell").end();
    for archive in [rootfs.clone(), gzip(&rootfs), crate::testing::zstd(&rootfs)] {
        let (_dir, store) = store();
        let import = Import {
            name: Some("busybox".parse().unwrap()),
            changes: Changes::parse([
                "CMD [\"sh\"]",
                "ENV PATH=/bin",
                "HEALTHCHECK --interval=5s CMD true",
            ])
            .unwrap(),
            message: Some("made here".to_owned()),
            created: Some(std::time::SystemTime::UNIX_EPOCH),
            ..Import::default()
        };
        let loaded = store.import(&archive[..], &import, &mut quiet()).unwrap();
        let image = store.find("busybox").unwrap().unwrap();
        assert_eq!((image.id, &image.layers), (loaded.id, &vec![Digest::of(&rootfs)]));
        assert_eq!((image.size, image.created.as_deref()), (5, Some("1970-01-01T00:00:00Z")));
        let health = image.healthcheck.as_ref().unwrap();
        assert_eq!(health.test, ["CMD-SHELL", "true"]);
        let lower = store.lower_dirs(&image).unwrap();
        assert_eq!(fs::read(lower[0].join("bin/sh")).unwrap(), b"shell");
        let inspection = serde_json::to_value(store.inspect(&image).unwrap()).unwrap();
        assert_eq!(inspection["RepoTags"][0], "busybox:latest");
        assert_eq!(inspection["Comment"], "made here");
        assert_eq!(inspection["Config"]["Healthcheck"]["Interval"], 5_000_000_000_u64);
        // A second time is nothing new.
        assert_eq!(store.import(&archive[..], &import, &mut quiet()).unwrap().id, loaded.id);
        assert_eq!(store.list().unwrap().len(), 1);
    }
}

#[test]
fn a_failed_import_leaves_nothing() {
    let (_dir, store) = store();
    let whole = gzip(&Tar::new().file("a", &[1; 5000]).end());
    for archive in [&b""[..], b"no archive", &whole[..40], &Tar::new().file("../x", b"").end()] {
        assert!(store.import(archive, &Import::default(), &mut quiet()).is_err());
    }
    assert_eq!(
        (files(&store, "tmp"), files(&store, "layers"), files(&store, "blobs/sha256")),
        (0, 1, 0)
    );
}

#[test]
fn a_check_names_each_damaged_thing_and_what_is_set_aside_is_made_again() {
    let (dir, store) = store();
    let (below, above) = (layer("etc/a"), layer("etc/b"));
    load(&store, &[&below, &above], &["app:1"]);
    assert_eq!(store.check().unwrap(), []);
    let aside = dir.path().join("aside");
    fs::create_dir(&aside).unwrap();
    let layer = store.find("app:1").unwrap().unwrap().layers[1];
    let file = store.layer_dir(layer).join("etc/b");
    fs::write(&file, "rotten").unwrap();
    let flaws = store.check().unwrap();
    assert_eq!(flaws.len(), 1, "{flaws:?}");
    assert_eq!(
        (&flaws[0].part, &*flaws[0].problem),
        (&Part::Layer(layer), "/etc/b has another content")
    );
    store.set_aside(&flaws[0], &aside).unwrap();
    let image = store.find("app:1").unwrap().unwrap();
    store.lower_dirs(&image).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"etc/b");
    assert_eq!(store.check().unwrap(), []);
    // Damage to the configuration makes the image one that must be loaded again.
    let blob = store.blob(image.id);
    fs::write(&blob, "{}").unwrap();
    let flaws = store.check().unwrap();
    let parts: Vec<_> = flaws.iter().map(|flaw| flaw.part.clone()).collect();
    assert_eq!(parts, [Part::Blob, Part::Image(image.manifest)]);
    for flaw in &flaws {
        store.set_aside(flaw, &aside).unwrap();
    }
    assert!(store.find("app:1").unwrap().is_none() && aside.join(image.id.hex()).is_file());
    load(&store, &[&below, &above], &["app:1"]);
    assert_eq!(store.check().unwrap(), []);
}
