//! The image store: what comes in, what is listed, what goes.

use naru_test::RootTar;

use super::host;

#[test]
fn an_imported_image_is_listed_inspected_and_removed() {
    host(|host| {
        host.import(
            "mine:1",
            RootTar::new().busybox(),
            &["CMD [\"sh\"]", "LABEL made=here", "EXPOSE 80"],
        );
        let listed = host.naru(["image", "ls"]).succeeds();
        assert!(listed.stdout.contains("mine"), "{listed}");
        let inspected = host.naru(["image", "inspect", "mine:1"]).succeeds().json()[0].clone();
        assert_eq!(inspected["Config"]["Cmd"], serde_json::json!(["sh"]), "{inspected}");
        assert_eq!(inspected["Config"]["Labels"]["made"], "here");
        host.naru(["image", "rm", "mine:1"]).succeeds();
        host.naru(["image", "inspect", "mine:1"]).exits_with(1).says("mine:1");
    });
}

#[test]
fn what_is_no_archive_is_refused_and_leaves_nothing() {
    host(|host| {
        let before = host.naru(["image", "ls", "-q"]).succeeds().stdout;
        let project = host.project("files").file("noise.tar", "this is no tar archive at all");
        project.naru(["image", "load", "-i", "noise.tar"]).exits_with(1).says("noise.tar");
        assert_eq!(host.naru(["image", "ls", "-q"]).succeeds().stdout, before);
    });
}
