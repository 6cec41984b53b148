//! Named, anonymous and bound volumes: their content, their owners, and how long they live.

use std::os::unix::fs::MetadataExt as _;

use naru_test::RootTar;

use super::host;

const NAMED: &str = "
services:
  a: { image: with-data, volumes: ['store:/data'] }
volumes: { store: {} }
";

fn image_with_data(host: &naru_test::TestHost) {
    let tar = RootTar::new().busybox().folder("data", 0o750, 1000).file(
        "data/seed",
        b"from the image\n",
        0o640,
    );
    host.import("with-data", tar, &["CMD [\"sleep\", \"3600\"]", "STOPSIGNAL SIGKILL"]);
}

#[test]
fn a_named_volume_starts_with_the_images_files_and_their_owners() {
    host(|host| {
        image_with_data(host);
        let project = host.project("named").file("compose.yaml", NAMED);
        project.naru(["up", "-d"]).succeeds();
        let seen = project.naru(["exec", "-T", "a", "stat", "-c", "%u %a", "/data", "/data/seed"]);
        assert_eq!(seen.succeeds().stdout, "1000 750\n0 640\n");
    });
}

#[test]
fn a_named_volume_outlives_down_and_ends_with_down_v() {
    host(|host| {
        image_with_data(host);
        let project = host.project("named").file("compose.yaml", NAMED);
        let read = || project.naru(["exec", "-T", "a", "cat", "/data/mine"]);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["exec", "-T", "a", "sh", "-c", "echo kept > /data/mine"]).succeeds();
        project.naru(["down"]).succeeds();
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(read().succeeds().stdout, "kept\n");
        project.naru(["down", "-v"]).succeeds();
        assert_eq!(fs_err::read_dir(host.root().join("volumes")).map_or(0, Iterator::count), 0);
        project.naru(["up", "-d"]).succeeds();
        read().exits_with(1);
    });
}

#[test]
fn folders_and_single_files_are_bound() {
    host(|host| {
        let file = "
services:
  a: { image: test, volumes: ['./folder:/bound', './file.txt:/etc/one-file:ro'] }
";
        let project = host
            .project("bound")
            .file("compose.yaml", file)
            .file("folder/inside", "seen\n")
            .file("file.txt", "alone\n");
        project.naru(["up", "-d"]).succeeds();
        let cat = project.naru(["exec", "-T", "a", "cat", "/bound/inside", "/etc/one-file"]);
        assert_eq!(cat.succeeds().stdout, "seen\nalone\n");
        let write = ["exec", "-T", "a", "naru-check", "write", "/etc/one-file", "changed"];
        project.naru(write).exits_with(1).says("Read-only file system");
        project
            .naru(["exec", "-T", "a", "naru-check", "write", "/bound/new", "made inside"])
            .succeeds();
        let made = fs_err::read_to_string(project.folder().join("folder/new")).unwrap();
        assert_eq!(made, "made inside\n");
    });
}

#[test]
fn a_missing_bind_source_is_made_for_the_calling_user() {
    host(|host| {
        let file = "services: { a: { image: test, volumes: ['./made:/made'] } }";
        let project = host
            .project("made")
            .file("compose.yaml", file)
            .variable("SUDO_UID", "1234")
            .variable("SUDO_GID", "2345");
        project.naru(["up", "-d"]).succeeds();
        let data = fs_err::metadata(project.folder().join("made")).unwrap();
        assert_eq!((data.uid(), data.gid()), (1234, 2345));
    });
}

#[test]
fn tmpfs_mounts_are_empty_and_of_their_size() {
    host(|host| {
        let file =
            "services: { a: { image: test, tmpfs: ['/scratch:size=1m,mode=700'], shm_size: 8m } }";
        let project = host.project("tmpfs").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let report = super::report(&project, "a");
        assert_eq!(report["mounts"]["/scratch"]["type"], "tmpfs");
        let options = report["mounts"]["/scratch"]["super_options"].as_str().unwrap();
        assert!(options.contains("size=1024k") && options.contains("mode=700"), "{options}");
        let shm = report["mounts"]["/dev/shm"]["super_options"].as_str().unwrap();
        assert!(shm.contains("size=8192k"), "{shm}");
    });
}

#[test]
fn the_docker_socket_is_refused_by_name() {
    host(|host| {
        let file = "services:\n  a:\n    image: test\n    volumes:\n      - /var/run/docker.sock:/var/run/docker.sock\n";
        let project = host.project("socket").file("compose.yaml", file);
        let before = host.snapshot();
        project.naru(["up", "-d"]).exits_with(1).says("docker.sock").says("compose.yaml:5");
        before.assert_nothing_left();
    });
}

#[test]
fn a_volume_of_the_image_is_made_for_each_container_and_ends_with_down_v() {
    host(|host| {
        let tar = RootTar::new().busybox().folder("data", 0o755, 1000).file(
            "data/seed",
            b"seed\n",
            0o644,
        );
        host.import("declares", tar, &["VOLUME /data", "CMD [\"sleep\", \"3600\"]"]);
        let file = "services: { a: { image: declares, init: true } }";
        let project = host.project("declared").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let seen = project.naru(["exec", "-T", "a", "cat", "/data/seed"]).succeeds();
        assert_eq!(seen.stdout, "seed\n");
        assert_eq!(fs_err::read_dir(host.root().join("volumes")).unwrap().count(), 1);
        project.naru(["down", "-v"]).succeeds();
        assert_eq!(fs_err::read_dir(host.root().join("volumes")).map_or(0, Iterator::count), 0);
    });
}
