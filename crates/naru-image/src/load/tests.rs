use fs_err as fs;
use serde_json::json;

use super::*;
use crate::config;
use crate::testing::{Canary, Oci, Tar, TempDir, config, docker_archive, gzip, listing, zstd};

fn store() -> (TempDir, Store) {
    let dir = TempDir::new();
    let store = Store::open(&dir.path().join("images")).unwrap();
    (dir, store)
}

fn base() -> Vec<u8> {
    Tar::new()
        .dir("bin/", 0o755)
        .file("bin/sh", b"shell")
        .file("etc/passwd", b"root:x:0:0::/root:\n")
        .end()
}

fn upper() -> Vec<u8> {
    Tar::new().file("etc/.wh.passwd", b"").file("app/main", b"program").end()
}

fn quiet() -> impl FnMut(Event) {
    |_event| {}
}

/// Loads what must be refused, and sees that nothing of it is left.
fn refused(archive: &[u8]) -> String {
    let (_dir, store) = store();
    let before = listing(store.root());
    let error = store.load(archive, &mut quiet()).unwrap_err();
    assert_eq!(names_of(&listing(store.root())), names_of(&before), "something was left behind");
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// Times of directories change when temporary files come and go.
fn names_of(listing: &[String]) -> Vec<&str> {
    listing.iter().map(|line| line.split(' ').next().unwrap()).collect()
}

fn check_loaded(archive: &[u8], name: &str) {
    let (_dir, store) = store();
    let loaded = store.load(archive, &mut quiet()).unwrap();
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].name.as_ref().unwrap().to_string(), name);
    let image = store.find(name).unwrap().unwrap();
    assert_eq!((image.id, image.layers.len()), (loaded[0].id, 2));
    assert_eq!(
        image.config.config().as_ref().unwrap().cmd().as_deref(),
        Some(&["sh".to_owned()][..])
    );
    let lower = store.lower_dirs(&image).unwrap();
    assert_eq!(fs::read(lower[0].join("app/main")).unwrap(), b"program");
    assert_eq!(fs::read(lower[1].join("bin/sh")).unwrap(), b"shell");
    image.check_platform().unwrap();
}

#[test]
fn archives_of_docker_save_are_taken_in_whatever_their_compression() {
    let (base, upper) = (base(), upper());
    let config = config(&[&base, &upper]);
    let plain = docker_archive(&config, &[&base, &upper], &["app:1"]);
    check_loaded(&plain, "app:1");
    check_loaded(&gzip(&plain), "app:1");
    check_loaded(&zstd(&plain), "app:1");
    let compressed = docker_archive(&config, &[&gzip(&base), &zstd(&upper)], &["app:1"]);
    check_loaded(&compressed, "app:1");
}

#[test]
fn the_new_form_of_docker_save_is_taken_in_by_its_manifest_json() {
    let (base, upper) = (base(), upper());
    let config = config(&[&base, &upper]);
    let mut oci = Oci::default();
    let mut manifest = oci.manifest(&config, &[("", &base), ("", &upper)]);
    manifest["annotations"] = json!({"io.containerd.image.name": "docker.io/library/other:1"});
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let list = json!([{"Config": blob(config.to_string().as_bytes()), "RepoTags": ["app:2"],
        "Layers": [blob(&base), blob(&upper)]}]);
    oci.tar = oci.tar.file("manifest.json", list.to_string().as_bytes());
    check_loaded(&oci.archive(&[manifest]), "app:2");
}

#[test]
fn layers_that_images_share_by_links_are_found() {
    let (base, upper) = (base(), upper());
    let config = config(&[&base, &upper]).to_string();
    let name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let list =
        json!([{"Config": name, "RepoTags": ["app:3"], "Layers": ["b/layer.tar", "c/layer.tar"]}]);
    let tar = Tar::new()
        .file("a/layer.tar", &base)
        .symlink("b/layer.tar", "../a/layer.tar")
        .file("d/layer.tar", &upper)
        .hard_link("c/layer.tar", "d/layer.tar")
        .file(&name, config.as_bytes())
        .file("manifest.json", list.to_string().as_bytes());
    check_loaded(&tar.end(), "app:3");
}

#[test]
fn oci_archives_are_taken_in_under_the_names_they_give() {
    let (base, upper) = (base(), upper());
    let config = config(&[&base, &upper]);
    for (annotation, value, name) in [
        ("org.opencontainers.image.ref.name", "docker.io/library/app:4", "app:4"),
        ("org.opencontainers.image.ref.name", "app:5", "app:5"),
        ("io.containerd.image.name", "docker.io/library/app:6", "app:6"),
    ] {
        let mut oci = Oci::default();
        let mut manifest =
            oci.manifest(&config, &[("+gzip", &gzip(&base)), ("+zstd", &zstd(&upper))]);
        manifest["annotations"] = json!({annotation: value});
        check_loaded(&oci.archive(&[manifest]), name);
    }
}

#[test]
fn of_several_platforms_this_machines_is_taken() {
    let (base, upper) = (base(), upper());
    let mut oci = Oci::default();
    let mut foreign = oci.manifest(&json!({"architecture": "mips", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}), &[]);
    foreign["platform"] = json!({"architecture": "mips", "os": "linux"});
    let mut here = oci.manifest(&config(&[&base, &upper]), &[("", &base), ("", &upper)]);
    here["platform"] = json!({"architecture": config::architecture(), "os": "linux"});
    let attestation = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
        "digest": Digest::of(b"x"), "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"}});
    let index = json!({"schemaVersion": 2, "manifests": [foreign, here, attestation]}).to_string();
    let mut index = oci.blob("application/vnd.oci.image.index.v1+json", index.as_bytes());
    index["annotations"] = json!({"org.opencontainers.image.ref.name": "multi:1"});
    check_loaded(&oci.archive(&[index]), "multi:1");

    let mut oci = Oci::default();
    let mut foreign = oci.manifest(&json!({"architecture": "mips", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}), &[]);
    foreign["platform"] = json!({"architecture": "mips", "os": "linux"});
    let error = refused(&oci.archive(&[foreign]));
    assert!(error.contains("made for linux/mips, this machine is linux/"), "{error}");
}

#[test]
fn an_image_for_another_machine_is_loaded_and_refused_at_use() {
    let base = base();
    let mut foreign = config(&[&base]);
    foreign["architecture"] = "s390x".into();
    let (_dir, store) = store();
    store.load(&docker_archive(&foreign, &[&base], &["app"])[..], &mut quiet()).unwrap();
    let error = store.find("app").unwrap().unwrap().check_platform().unwrap_err();
    assert!(error.to_string().starts_with("the image is made for linux/s390x, this machine is"));
}

#[test]
fn an_archive_without_a_name_gives_an_image_without_one() {
    let base = base();
    let mut oci = Oci::default();
    let mut manifest = oci.manifest(&config(&[&base]), &[("", &base)]);
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    let (_dir, store) = store();
    let loaded = store.load(&oci.archive(&[manifest])[..], &mut quiet()).unwrap();
    assert_eq!(loaded[0].name, None);
    assert!(store.find(&loaded[0].id.to_string()).unwrap().unwrap().names.is_empty());
    assert!(store.find(&loaded[0].id.short()).unwrap().is_some());
    assert!(store.find("latest").unwrap().is_none());
}

#[test]
fn every_digest_is_compared_before_anything_is_seen() {
    let (base, upper) = (base(), upper());
    let wrong_layer = docker_archive(&config(&[&base]), &[&upper], &["a"]);
    assert!(refused(&wrong_layer).contains("but the image's configuration says"));
    let few = docker_archive(&config(&[&base, &upper]), &[&base], &["a"]);
    assert!(refused(&few).contains("another number of layers"));
    let list =
        json!([{"Config": format!("{}.json", "0".repeat(64)), "RepoTags": ["a"], "Layers": []}]);
    let renamed = Tar::new()
        .file(&format!("{}.json", "0".repeat(64)), config(&[]).to_string().as_bytes())
        .file("manifest.json", list.to_string().as_bytes());
    assert!(refused(&renamed.end()).contains("does not match the digest in its name"));
    let blob = Tar::new()
        .file(&format!("blobs/sha256/{}", "a".repeat(64)), b"x")
        .file("index.json", b"{}");
    assert!(refused(&blob.end()).contains("does not match the digest in its name"));

    let oci = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut oci = Oci::default();
        let mut manifest = oci.manifest(&config(&[&base]), &[("", &base)]);
        change(&mut manifest);
        refused(&oci.archive(&[manifest]))
    };
    assert!(oci(&|manifest| manifest["size"] = 7.into()).contains("size is not what"));
    assert!(oci(&|manifest| manifest["digest"] = "sha256:../../x".into()).contains("index.json"));
    assert!(
        oci(&|manifest| manifest["digest"] = format!("sha256:{}", "b".repeat(64)).into())
            .contains("not in the archive")
    );
    assert!(
        oci(&|manifest| manifest["mediaType"] = "application/x".into())
            .contains("neither a manifest nor an index")
    );
}

#[test]
fn a_right_blob_with_a_wrong_diff_id_is_refused_even_when_the_layer_is_known() {
    let (base, upper) = (base(), upper());
    let (_dir, store) = store();
    store.load(&docker_archive(&config(&[&base]), &[&base], &["a"])[..], &mut quiet()).unwrap();
    let lie = docker_archive(&config(&[&base]), &[&gzip(&upper)], &["b"]);
    assert!(store.load(&lie[..], &mut quiet()).is_err());
    assert!(store.find("b").unwrap().is_none());
}

#[test]
fn unsupported_layers_and_contents_are_named() {
    let base = base();
    let mut oci = Oci::default();
    let manifest = oci.manifest(&config(&[&base]), &[(".erofs", &base)]);
    assert!(
        refused(&oci.archive(&[manifest]))
            .contains("layer of type application/vnd.oci.image.layer.v1.tar.erofs")
    );
    assert!(refused(&Tar::new().file("etc/passwd", b"").end()).contains("naru image import"));
    assert!(refused(b"this is no archive at all, and long enough to be a header of five hundred and twelve bytes").contains("archive"));
    assert!(refused(b"").contains("neither"));
    assert!(refused(b"\xfd7zXZ\0\0\0").contains("xz compression is not supported"));
    assert!(refused(&Tar::new().device(b'3', "null", 1, 3).end()).contains("type"));
    assert!(refused(&Tar::new().file("manifest.json", b"[]").end()).contains("no image"));
    assert!(refused(&Tar::new().file("manifest.json", b"{").end()).contains("manifest.json"));
    let bad_name = docker_archive(&config(&[&base]), &[&base], &["UPPER:x"]);
    assert!(refused(&bad_name).contains("lower case"));
}

#[test]
fn hostile_archives_change_nothing_outside_the_store() {
    let canary = Canary::new();
    let target = format!("{}/f", canary.path());
    let config_text = config(&[]).to_string();
    let list =
        |config: &str| json!([{"Config": config, "RepoTags": ["a"], "Layers": []}]).to_string();
    for config in ["../../../etc/passwd", "/etc/passwd", &target, "link", "loop"] {
        let tar = Tar::new()
            .symlink("link", &target)
            .symlink("loop", "loop")
            .file("manifest.json", list(config).as_bytes())
            .file("c.json", config_text.as_bytes());
        refused(&tar.end());
    }
    for tar in [
        Tar::new().file("../../x", b"out"),
        Tar::new().symlink("l", "../../..").file("l/x", b"out"),
        Tar::new().hard_link("manifest.json", &target),
        Tar::new().file("manifest.json", b"[]").file("manifest.json", b"[]"),
    ] {
        refused(&tar.end());
    }
    let layer = Tar::new().symlink("l", &canary.path()).file("l/f", b"out").end();
    refused(&docker_archive(&config(&[&layer]), &[&layer], &["a"]));
    canary.check();
}

#[test]
fn metadata_larger_than_four_mebibytes_is_refused() {
    let mut large = config(&[]);
    large["comment"] = "x".repeat(5 << 20).into();
    assert!(
        refused(&docker_archive(&large, &[], &["a"]))
            .contains("larger than a manifest or configuration")
    );
}

#[test]
fn bombs_are_refused_and_leave_nothing() {
    let dir = TempDir::new();
    let limits = Limits { max_unpacked: 4 << 20, ratio_floor: 1 << 20, ..Limits::default() };
    let store = Store::with_limits(&dir.path().join("images"), limits).unwrap();
    let layer = Tar::new().file("zeros", &vec![0; 8 << 20]).end();
    let bomb = docker_archive(&config(&[&layer]), &[&gzip(&layer)], &["a"]);
    assert!(store.load(&bomb[..], &mut quiet()).is_err());
    assert_eq!(fs::read_dir(dir.path().join("images/tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(dir.path().join("images/blobs/sha256")).unwrap().count(), 0);
}

#[test]
fn corrupt_archives_leak_no_descriptor() {
    let (base, upper) = (base(), upper());
    let archive = gzip(&docker_archive(&config(&[&base, &upper]), &[&base, &upper], &["a"]));
    let (_dir, store) = store();
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", std::process::id())).unwrap().count();
    let mut counts = Vec::new();
    for length in (1..archive.len()).step_by(archive.len() / 40) {
        assert!(store.load(&archive[..length], &mut quiet()).is_err());
        counts.push(descriptors());
    }
    // Other tests of this process come and go beside this one, so only growth with every try counts.
    assert!(counts.last().unwrap() - counts.iter().min().unwrap() < 20, "{counts:?}");
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn progress_tells_bytes_and_layers() {
    let (base, upper) = (base(), upper());
    let archive = docker_archive(&config(&[&base, &upper]), &[&base, &upper], &["a"]);
    let (_dir, store) = store();
    let mut events = Vec::new();
    store.load(&archive[..], &mut |event| events.push(event)).unwrap();
    assert_eq!(events.last(), Some(&Event::Committing));
    assert!(events.contains(&Event::Read { bytes: archive.len() as u64 }));
    assert!(events.contains(&Event::Layer { number: 2, of: 2, diff_id: Digest::of(&upper) }));
    events.clear();
    store.load(&archive[..], &mut |event| events.push(event)).unwrap();
    assert!(events.contains(&Event::LayerPresent { number: 1, of: 2 }));
}
