//! Nodes can be killed, frozen, cut off and healed; services can crash.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{address_of, get, start, wait_until};

#[test]
fn a_node_can_be_hurt_and_healed() {
    let sandbox = start();
    let url = sandbox.node_url("web1").unwrap();
    let web1 = sandbox.node("web1").unwrap();
    let state = || sandbox.status().unwrap().into_iter().find(|node| node.name == "web1").unwrap();

    // Killed: refused, and the load balancer goes on with the other one.
    let mut open = TcpStream::connect(address_of(&url)).unwrap();
    open.write_all(b"GET / HT").unwrap();
    web1.kill().unwrap();
    assert_eq!(state().state, "killed");
    assert_eq!(get(&url, "/").unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(open.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    wait_until("only web2 answers", || {
        (0..6).all(|_| get(sandbox.shop_url(), "/").is_ok_and(|page| page.header("X-Node") == Some("web2")))
    });
    web1.start().unwrap();
    assert_eq!(get(&url, "/").unwrap().status, 503);
    wait_until("web1 answers again", || {
        (0..6).any(|_| get(sandbox.shop_url(), "/").is_ok_and(|page| page.header("X-Node") == Some("web1")))
    });

    // Frozen: connections are taken, nothing answers until it is thawed.
    web1.freeze().unwrap();
    assert_eq!(state().state, "frozen");
    let mut frozen = ask(&url);
    assert!(is_silent(&mut frozen));
    web1.start().unwrap();
    assert!(answers(&mut frozen));

    // Cut off: existing and new connections hang, nothing is reset, and all go on when it is healed.
    let mut existing = TcpStream::connect(address_of(&url)).unwrap();
    web1.cut().unwrap();
    assert!(state().cut);
    existing.write_all(REQUEST).unwrap();
    let mut new = ask(&url);
    assert!(is_silent(&mut existing) && is_silent(&mut new));
    web1.start().unwrap();
    assert!(answers(&mut existing) && answers(&mut new));

    // What was cut off and frozen can still be killed.
    web1.cut().unwrap();
    web1.freeze().unwrap();
    web1.kill().unwrap();
    web1.start().unwrap();
    assert_eq!(get(&url, "/").unwrap().status, 503);
    assert!(sandbox.node("web3").is_err());
}

#[test]
fn a_killed_init_process_leaves_no_service_behind() {
    let sandbox = start();
    let web1 = sandbox.node("web1").unwrap();
    let services: Vec<i32> = web1.services().unwrap().iter().filter_map(|service| service.pid).collect();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", services[0])).unwrap();
    let init: i32 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    kill_process(Pid::from_raw(init).unwrap(), Signal::KILL).unwrap();
    wait_until("its services have gone", || {
        services.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    });
    wait_until("the sandbox has noticed", || {
        sandbox.status().unwrap().iter().any(|node| node.name == "web1" && node.state == "failed")
    });
    web1.start().unwrap();
    assert_eq!(get(&sandbox.node_url("web1").unwrap(), "/").unwrap().status, 503);
}

#[test]
fn the_database_survives_a_crash_of_its_node() {
    let sandbox = start();
    sandbox.psql("create table kept (id int); insert into kept values (42)").unwrap();
    let db1 = sandbox.node("db1").unwrap();
    db1.kill().unwrap();
    assert!(sandbox.psql("select 1").is_err());
    db1.start().unwrap();
    assert_eq!(sandbox.psql("select id from kept").unwrap(), "42");

    let before = db1.service("postgresql").unwrap();
    assert_eq!(before.state, "running");
    db1.kill_service("postgresql").unwrap();
    let crashed = db1.service("postgresql").unwrap();
    assert_eq!((crashed.state.as_str(), crashed.pid), ("failed", None));
    assert!(crashed.detail.unwrap().contains("signal 9"));
    db1.start_service("postgresql").unwrap();
    assert_ne!(db1.service("postgresql").unwrap().pid, before.pid);
    assert_eq!(sandbox.psql("select id from kept").unwrap(), "42");

    db1.stop_service("postgresql").unwrap();
    assert_eq!(db1.service("postgresql").unwrap().state, "stopped");
    db1.restart_service("postgresql").unwrap();
    assert_eq!(sandbox.psql("select id from kept").unwrap(), "42");
    let error = db1.start_service("mysql").unwrap_err().to_string();
    assert_eq!(error, "there is no service mysql");
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n";

fn ask(url: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address_of(url)).unwrap();
    stream.write_all(REQUEST).unwrap();
    stream
}

/// Whether nothing comes for a while; an end or a reset would come.
fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    matches!(stream.read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn answers(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = [0; 12];
    stream.read_exact(&mut buffer).is_ok() && &buffer == b"HTTP/1.1 503"
}
