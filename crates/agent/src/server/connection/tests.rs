use std::path::Path;

use orocloud_protocol::{Event, EventBody};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};

use super::*;
use crate::environment::Agent;
use crate::process::Processes;
use crate::server::Daemon;

/// A maintenance node without anything around it; `deployer` and `watcher` are local accounts.
fn daemon(folder: &Path) -> DaemonRef {
    let at = |name: &str| folder.join(name).display().to_string();
    for name in ["state", "run", "log"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::write(
        at("environment.toml"),
        "format = 1\nname = \"acme-prod1\"\nproject = \"acme\"\ntype = \"prod\"\nurl = \"http://shop/\"\nkeeper = \"postgresql\"\n\
         [[node]]\nname = \"maint1\"\nroles = [\"maint\"]\nzone = \"a\"\naddress = \"::1\"\n\
         [application]\ndocument_root = \"public\"\n[repository]\nurl = \"ssh://git@x/shop.git\"\n[backup]\n",
    )
    .unwrap();
    let text = format!(
        "format = 1\nnode = \"maint1\"\nenvironment_file = \"{}\"\nstate = \"{}\"\nrun = \"{}\"\nlog = \"{}\"\n\
         [service_manager]\nkind = \"systemd\"\n[local.deployer]\nrole = \"developer\"\n[local.watcher]\nrole = \"viewer\"\n\
         [maint]\ngit_mirror = \"/m\"\nbuild = \"/b\"\ncomposer_home = \"/c\"\nmedia = \"/d\"\nrestic_repository = \"/e\"\n\
         restic_password_file = \"/f\"\n",
        at("environment.toml"),
        at("state"),
        at("run"),
        at("log"),
    );
    std::fs::write(at("agent.toml"), text).unwrap();
    Daemon::new(Agent::load(&folder.join("agent.toml")).unwrap(), Processes::new(None)).unwrap()
}

struct Client {
    reader: BufReader<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
}

impl Client {
    async fn new(daemon: &DaemonRef, origin: Origin) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(far);
        tokio::spawn(serve(daemon.clone(), reader, writer, None, origin));
        let (reader, writer) = tokio::io::split(near);
        let mut client = Self { reader: BufReader::new(reader), writer };
        let hello = client.next().await.unwrap();
        assert!(
            matches!(hello, Incoming::Notification(Notification::Hello(hello)) if hello.environment.is_some())
        );
        client
    }

    async fn local(daemon: &DaemonRef, account: &str) -> Self {
        Self::new(daemon, Origin::Local(account.into())).await
    }

    async fn send(&mut self, line: &[u8]) {
        self.writer.write_all(line).await.unwrap();
    }

    /// The next line; empty at the end of the connection.
    async fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let reading = self.reader.read_until(b'\n', &mut line);
        tokio::time::timeout(Duration::from_secs(120), reading).await.expect("a line").unwrap();
        line
    }

    /// The next line that is more than a sign of life; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Incoming> {
        loop {
            match self.line().await.as_slice() {
                [] => return None,
                b"\n" => {}
                line => return Some(decode(line).unwrap()),
            }
        }
    }

    async fn response(&mut self) -> Response {
        loop {
            match self.next().await.expect("a response") {
                Incoming::Response(response) => return response,
                _ => continue,
            }
        }
    }

    async fn call(&mut self, id: CallId, method: &str, params: Value) -> Result<Value, CallError> {
        self.send(&encode(&Request::new(id, method, params))).await;
        let response = self.response().await;
        assert_eq!(response.id, Some(id));
        response.outcome()
    }
}

fn id(random: u128) -> CallId {
    CallId::from_parts(u64::try_from(Timestamp::now().as_millisecond()).unwrap(), random)
}

#[tokio::test]
async fn one_call_after_another_and_each_refusal_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path());
    let mut client = Client::local(&daemon, "watcher").await;
    assert_eq!(client.call(id(1), "operation.list", json!({})).await.unwrap(), json!({"items": []}));
    for (method, params, kind, words) in [
        ("operation.list", json!({"dry_run": true}), ErrorKind::Usage, "dry_run"),
        ("log.list", json!({"page": {"page": "x"}}), ErrorKind::Usage, "log.list"),
        ("sparkle", json!({}), ErrorKind::UnknownMethod, "sparkle"),
        ("backup.create", json!({}), ErrorKind::NotPermitted, "developer"),
        ("node.step", json!({}), ErrorKind::NotPermitted, "between nodes"),
        ("log.view", json!({"operation": id(9)}), ErrorKind::NotFound, &id(9).to_string()[..1]),
    ] {
        let error = client.call(id(2), method, params).await.unwrap_err();
        assert_eq!(error.kind, kind, "{method}");
        assert!(error.message.contains(words), "{error}");
    }
    // No JSON, and a request that is none: said, and the connection goes on.
    client.send(b"{nonsense\n").await;
    assert_eq!(client.response().await.outcome().unwrap_err().kind, ErrorKind::Usage);
    client.call(id(3), "operation.list", json!({})).await.unwrap();
    // Two requests at once are answered one after the other.
    let (one, other) = (id(4), id(5));
    let mut lines = encode(&Request::new(one, "operation.list", json!({})));
    lines.extend(encode(&Request::new(other, "log.list", json!({}))));
    client.send(&lines).await;
    assert_eq!(client.response().await.id, Some(one));
    assert_eq!(client.response().await.id, Some(other));
}

#[tokio::test]
async fn a_line_without_an_end_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path());
    let mut client = Client::local(&daemon, "watcher").await;
    let mut writer = client.writer;
    let flood = tokio::spawn(async move {
        let piece = vec![b'x'; 64 * 1024];
        // Until nobody takes it any more.
        while writer.write_all(&piece).await.is_ok() {}
    });
    let mut line = String::new();
    tokio::time::timeout(Duration::from_secs(120), client.reader.read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    assert!(line.contains("longer than"), "{line}");
    drop(client.reader);
    tokio::time::timeout(Duration::from_secs(120), flood).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_is_nobody_here_hears_so_at_every_call() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path());
    let mut client = Client::local(&daemon, "www-data").await;
    for random in [1, 2] {
        let error = client.call(id(random), "operation.list", json!({})).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotPermitted);
    }
    let session = Session { certificate: String::new(), connection: "10.1.2.3 1 10.0.0.1 22".into() };
    let mut client = Client::new(&daemon, Origin::Session(session)).await;
    let error = client.call(id(3), "operation.list", json!({"token": "hunter2"})).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSignedIn);
    let audit = std::fs::read_to_string(folder.path().join("log/audit.log")).unwrap();
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["caller"], "local:www-data");
    assert_eq!(lines[2]["caller"], "ssh:10.1.2.3");
    assert_eq!(lines[2]["outcome"]["error"]["kind"], "not-signed-in");
    assert!(!audit.contains("hunter2"));
}

#[tokio::test]
async fn old_ids_and_other_protocols_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path());
    let mut client = Client::local(&daemon, "watcher").await;
    let day = 24 * 3600 * 1000;
    for milliseconds in [id(1).milliseconds() - day - 60_000, id(1).milliseconds() + day + 60_000] {
        let old = CallId::from_parts(milliseconds, 1);
        let error = client.call(old, "operation.list", json!({})).await.unwrap_err();
        assert!(error.message.contains("24 hours"), "{error}");
    }
    let hello = Hello { protocols: vec![99], version: "9.0.0".into(), ..Hello::ours() };
    client.send(&encode(&Notification::Hello(hello))).await;
    let error = client.call(id(2), "operation.list", json!({})).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ProtocolMismatch);
    assert!(error.hints[0].contains("upgrade its agents"), "{error:?}");
}

#[tokio::test]
async fn end_ends_a_stream_and_the_channel_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path());
    let mut client = Client::local(&daemon, "watcher").await;
    let tail = id(1);
    client.send(&encode(&Request::new(tail, "log.tail", json!({"follow": true})))).await;
    // Of another call: means nothing.
    client.send(&encode(&Notification::End { call: id(7) })).await;
    client.send(&encode(&Notification::End { call: tail })).await;
    let response = client.response().await;
    assert_eq!(response.id, Some(tail));
    assert!(response.outcome().is_ok(), "also where it was ended before it began");
    client.call(id(2), "operation.list", json!({})).await.unwrap();
}

#[tokio::test]
async fn sixty_four_callers_at_once_all_get_answers() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path());
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..64 {
        let daemon = daemon.clone();
        calls.spawn(async move {
            let mut client = Client::local(&daemon, "watcher").await;
            client.call(id(number), "env.info", json!({})).await.unwrap()["name"].clone()
        });
    }
    let names = calls.join_all().await;
    assert!(names.len() == 64 && names.iter().all(|name| name == "acme-prod1"));
}

#[tokio::test]
async fn a_step_outlives_its_channel_and_the_same_call_attaches() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path());
    let node = daemon.node.config.node.clone();
    let (go_on, wait) = tokio::sync::oneshot::channel::<()>();
    let call = id(1);
    let stream = |end: bool| {
        let outlet = Arc::new(Outlet::default());
        let events = EventStream::new(call, 0, Arc::clone(&outlet));
        if end {
            events.end().cancel();
        }
        (events, outlet)
    };
    let begin = |sink: crate::operations::EventSink, _cancel| async move {
        sink.emit(EventBody::Note { level: orocloud_protocol::NoteLevel::Info, text: "begun".into() });
        wait.await.unwrap();
        Ok(orocloud_protocol::node::StepAnswer::Done(json!(7)))
    };
    // Its coordinator is gone at once.
    let (events, _) = stream(true);
    let left = daemon.steps.attend(&events, false, &node, "x", begin).await.unwrap_err();
    assert_eq!(left.kind, ErrorKind::StillRunning);
    go_on.send(()).unwrap();
    let never = |_, _| async { panic!("it runs already") };
    let (events, outlet) = stream(false);
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn({
        let outlet = Arc::clone(&outlet);
        async move { outlet.write_to(near).await }
    });
    for _ in 0..2 {
        let answer = daemon.steps.attend(&events, true, &node, "x", never).await.unwrap();
        assert_eq!(answer, orocloud_protocol::node::StepAnswer::Done(json!(7)));
    }
    let mut line = Vec::new();
    BufReader::new(far).read_until(b'\n', &mut line).await.unwrap();
    let Incoming::Notification(Notification::Event(Event { seq, body, .. })) = decode(&line).unwrap() else {
        panic!("no event")
    };
    assert_eq!(seq, 1);
    assert!(matches!(body, EventBody::Note { text, .. } if text == "begun"));
    // Nobody knows this one.
    let outlet = Arc::new(Outlet::default());
    let events = EventStream::new(id(2), 0, outlet);
    let never = |_, _| async { panic!("it may only be attached to") };
    let error = daemon.steps.attend(&events, true, &node, "x", never).await.unwrap_err();
    assert!(crate::nodes::steps::says_not_running(&error));
}
