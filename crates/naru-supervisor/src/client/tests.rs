use std::os::unix::net::UnixListener;

use super::*;

/// A project whose control socket is answered with `line`, once.
fn with_supervisor(line: String, check: impl FnOnce(&ProjectDirectories)) {
    let root = tempfile::tempdir().unwrap();
    let directories = Directories::new(root.path().join("data"), root.path().join("run"));
    let own = directories.project(&ProjectName::new("shop").unwrap());
    fs::create_dir_all(own.run()).unwrap();
    let listener = UnixListener::bind(own.control_socket()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            writeln!(stream, "{line}").unwrap();
        });
        check(&own);
    });
}

fn hello(protocol: u32) -> String {
    let hello = Hello { protocol, version: "9.8.7".into(), program: (1, 2) };
    serde_json::to_string(&Reply::Hello(hello)).unwrap()
}

#[test]
fn a_supervisor_of_another_protocol_is_named_with_the_way_out() {
    with_supervisor(hello(PROTOCOL + 1), |own| {
        let error = Client::connect(own).unwrap_err().to_string();
        assert!(error.contains("project shop is run by naru 9.8.7"), "{error}");
        assert!(error.contains("`naru system upgrade`"), "{error}");
    });
}

#[test]
fn a_supervisor_of_another_version_that_speaks_the_same_is_talked_to() {
    with_supervisor(hello(PROTOCOL), |own| {
        let client = Client::connect(own).unwrap().unwrap();
        assert_eq!(client.hello().version, "9.8.7");
    });
}

#[test]
fn one_that_ends_before_it_says_who_it_is_is_none() {
    let root = tempfile::tempdir().unwrap();
    let directories = Directories::new(root.path().join("data"), root.path().join("run"));
    let own = directories.project(&ProjectName::new("shop").unwrap());
    assert!(Client::connect(&own).unwrap().is_none());
    fs::create_dir_all(own.run()).unwrap();
    let listener = UnixListener::bind(own.control_socket()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(listener.accept().unwrap()));
        assert!(Client::connect(&own).unwrap().is_none());
    });
}
