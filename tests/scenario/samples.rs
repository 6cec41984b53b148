//! The samples of the repository that need no more than busybox.

use naru_test::RootTar;

use super::{host, repository};

#[test]
fn hello_comes_up_answers_and_leaves_nothing_behind() {
    host(|host| {
        host.import("busybox", RootTar::new().busybox(), &["CMD [\"sh\"]"]);
        let project = host.project("hello").copy_of(repository("compose-samples/hello"));
        let before = host.snapshot();
        project.naru(["up", "-d", "--wait"]).succeeds();
        let containers = project.naru(["ps", "--format", "json"]).succeeds().json();
        assert!(containers.len() >= 2, "{containers:?}");
        project.naru(["down", "-v"]).succeeds();
        before.assert_nothing_left();
    });
}
