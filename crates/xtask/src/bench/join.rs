//! What the network of one container takes, beside docker's and podman's.
//!
//! docker is asked by its API to connect a container that runs, with the clock in `curl`; netavark is started once for
//! each container, as podman does it.

use std::process::Command;

use super::Bench;
use super::installed::IMAGE;
use super::peers::SHARE;
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};

/// The most that it may take, in microseconds.
const MOST: f64 = 2000.0;

/// Docker's network and container.
const NAME: &str = "naru-bench-join";

/// What netavark is to make, in its own words.
const NETAVARK: &str = r#"{"container_id": "76", "container_name": "naru-bench-join",
 "networks": {"n76": {"static_ips": ["10.76.6.2"], "interface_name": "eth0"}},
 "network_info": {"n76": {"name": "n76", "id": "ed82e3a703682a9c09629d3cf45c1f1e7da5b32aeff3faf82837ef4d005356e6",
  "driver": "bridge", "network_interface": "na76", "ipv6_enabled": false, "internal": false, "dns_enabled": false,
  "subnets": [{"subnet": "10.76.6.0/24", "gateway": "10.76.6.1"}], "ipam_options": {"driver": "host-local"}}}}"#;

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> anyhow::Result<()> {
    fs_err::write(bench.share.join("netavark.json"), NETAVARK)?;
    let (mut ours, mut many): (Samples, Samples) = (Ok(Vec::new()), Ok(Vec::new()));
    let (mut docker, mut netavark) = (prepare_docker(bench), Ok(Vec::new()));
    // The first round warms caches up and is not counted.
    for round in 0..=bench.rounds {
        let one = clocked(Command::new(&bench.clock).arg("join"));
        let words = ["join", "--containers", "100", "--at-once", "8"];
        let all = clocked(Command::new(&bench.clock).args(words));
        let (dockers, netavarks) = (connected_by_docker(bench), set_up_by_netavark(bench));
        if round > 0 {
            gather(&mut ours, one);
            gather(&mut many, all);
            gather(&mut docker, dockers);
            gather(&mut netavark, netavarks);
        }
    }
    drop(shell(bench, &format!("docker rm -f {NAME}; docker network rm {NAME}")));
    table.row(&Row {
        what: "the network of one container: loopback, link, address, route, name server",
        unit: Unit::Milliseconds,
        naru: &ours,
        at_most: Some(MOST),
        others: &[
            Other { name: "docker, by its API", samples: docker, at_most: None },
            Other { name: "netavark", samples: netavark, at_most: None },
        ],
    });
    table.row(&Row {
        what: "the same for 100 containers, 8 at a time, for each of them",
        unit: Unit::Milliseconds,
        naru: &many,
        at_most: Some(MOST),
        others: &[Other { name: "one after the other", samples: ours.clone(), at_most: None }],
    });
    Ok(())
}

/// A container that runs and is in no network; no samples, or why there will be none.
fn prepare_docker(bench: &Bench) -> Samples {
    if let Ok(mut image) = bench.peers.command("image", [IMAGE]) {
        drop(image.output());
    }
    let script = format!(
        "{{ docker rm -f {NAME}; docker network rm {NAME}; docker network create {NAME} && \
         docker run -d --name {NAME} --network none {IMAGE} sleep 86400 && docker network disconnect none {NAME}; }} \
         >/dev/null 2>&1"
    );
    shell(bench, &script)
}

fn connected_by_docker(bench: &Bench) -> Samples {
    let ask = |what: &str, output: &str| {
        format!(
            "curl -sf -o /dev/null {output} --unix-socket /var/run/docker.sock -H 'Content-Type: application/json' \
             -d '{{\"Container\": \"{NAME}\"}}' http://docker/networks/{NAME}/{what}"
        )
    };
    // Seconds with six digits: without the point they are microseconds.
    let connect = ask("connect", "-w '%{time_total}\\n'");
    shell(bench, &format!("{connect} | tr -d . && {}", ask("disconnect", "")))
}

fn set_up_by_netavark(bench: &Bench) -> Samples {
    let ask = |what: &str| {
        format!(
            "/usr/lib/podman/netavark -c /run/{NAME} {what} /run/netns/{NAME} <{SHARE}/netavark.json >/dev/null"
        )
    };
    let script = format!(
        "ip netns del {NAME} 2>/dev/null; ip netns add {NAME}; begin=${{EPOCHREALTIME/./}}; {} && \
         echo $((${{EPOCHREALTIME/./}} - begin)); {}; ip netns del {NAME}",
        ask("setup"),
        ask("teardown"),
    );
    shell(bench, &script)
}

fn shell(bench: &Bench, script: &str) -> Samples {
    clocked(&mut bench.peers.command("exec", ["bash", "-c", script])?)
}
