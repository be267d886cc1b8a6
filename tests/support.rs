//! What every test needs: a sandbox, the CLI as some caller, answers of the shop.

pub mod relay;
pub mod terminal;
pub mod wire;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use orocloud_sandbox::{CallerFiles, CallerSpec, ENVIRONMENT, Options, Sandbox};
use serde_json::Value;

/// Longer than anything here takes; what runs longer hangs.
const LIMIT: Duration = Duration::from_secs(150);

/// A sandbox, and the CLI against it.
pub struct Shop {
    pub sandbox: Sandbox,
}

/// One that has the application 1.0.0, for tests that leave it as they found it.
pub fn deployed() -> &'static Shop {
    static SHOP: LazyLock<Shop> = LazyLock::new(|| {
        let shop = Shop::start();
        shop.deploy("1.0.0");
        shop
    });
    &SHOP
}

impl Shop {
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    pub fn start_with(options: Options) -> Self {
        Self { sandbox: Sandbox::start(options).expect("a sandbox") }
    }

    /// One whose agents die at the point that the file names; the file goes with the folder.
    pub fn start_mortal() -> (Self, PathBuf, tempfile::TempDir) {
        Self::start_mortal_with(Options::default())
    }

    /// The same, with more in it.
    pub fn start_mortal_with(options: Options) -> (Self, PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), mode).expect("open to all");
        let file = folder.path().join("failpoint");
        let shop = Self::start_with(Options {
            agent_environment: vec![("OROCLOUD_FAILPOINT_FILE".into(), file.display().to_string())],
            ..options
        });
        (shop, file, folder)
    }

    /// The CLI as `viewer`, `developer`, `operator`, `owner`, or anybody issued.
    pub fn cli<const N: usize>(&self, caller: &str, arguments: [&str; N]) -> Cli<'_> {
        let files = self.sandbox.caller(caller);
        self.cli_as(&files, arguments)
    }

    pub fn cli_as<const N: usize>(&self, caller: &CallerFiles, arguments: [&str; N]) -> Cli<'_> {
        let config = self.sandbox.config_for(caller).expect("a configuration");
        let mut command = Command::new(self.sandbox.program("orocloud-cli"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.sandbox.dir())
            .env("LANG", "C.UTF-8")
            .env("TZ", "Europe/Kyiv")
            .env("OROCLOUD_CONFIG", config)
            .env("OROCLOUD_ENV", ENVIRONMENT)
            .stdin(Stdio::null());
        Cli { shop: self, command }
    }

    /// Somebody with a certificate of this kind.
    pub fn issue(&self, spec: CallerSpec) -> CallerFiles {
        self.sandbox.issue(&spec).expect("a caller")
    }

    pub fn deploy(&self, reference: &str) {
        self.cli("developer", ["deploy", &format!("--reference={reference}"), "-n"]).succeeds();
    }

    pub fn sql(&self, sql: &str) -> String {
        self.sandbox.psql(sql).expect("psql")
    }

    pub fn orders(&self) -> u64 {
        self.sql("select count(*) from orders").parse().expect("a number")
    }

    /// Status and body of the shop's page through the load balancer.
    pub fn page(&self) -> (u16, String) {
        get(self.sandbox.shop_url())
    }

    /// The version that one node's page says it is.
    #[track_caller]
    pub fn version_on(&self, node: &str) -> String {
        let (status, body) = self.page_of(node);
        let version = body.split("id=\"version\">").nth(1).and_then(|rest| rest.split('<').next());
        version.unwrap_or_else(|| panic!("HTTP {status} from {node} names no version: {body}")).to_owned()
    }

    /// Status and body of one node's own page.
    pub fn page_of(&self, node: &str) -> (u16, String) {
        get(&self.sandbox.node_url(node).expect("a web node"))
    }

    /// What `www` on a web node points at; `None` before the first deployment.
    pub fn release_on(&self, node: &str) -> Option<PathBuf> {
        std::fs::canonicalize(self.node_dir(node).join("app/www")).ok()
    }

    pub fn node_dir(&self, node: &str) -> PathBuf {
        self.sandbox.node(node).expect("a node").dir()
    }

    pub fn logs(&self) -> String {
        ["maint1", "db1", "web1", "web2"]
            .map(|node| format!("##### {node}\n{}", self.sandbox.logs_of(node)))
            .join("\n")
    }
}

fn get(url: &str) -> (u16, String) {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "10", "--write-out", "\n%{http_code}", url])
        .output()
        .expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a status"), body.to_owned())
}

/// One call of the CLI that is about to be made.
pub struct Cli<'a> {
    shop: &'a Shop,
    pub command: Command,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Both streams.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Cli<'_> {
    /// Starts it and lets it run.
    pub fn spawn(mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("orocloud-cli")
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(mut self) -> Answer {
        let shown = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        let child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("orocloud-cli");
        let pid = child.id();
        let (done, ended) = std::sync::mpsc::channel();
        thread::spawn(move || done.send(child.wait_with_output()));
        let Ok(output) = ended.recv_timeout(LIMIT) else {
            let _ = Command::new("kill").arg("-KILL").arg(pid.to_string()).status();
            panic!("{shown} hangs\n{}", self.shop.logs());
        };
        let output = output.expect("its output");
        Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn succeeds(self) -> Answer {
        self.ends_with(0)
    }

    #[track_caller]
    pub fn ends_with(self, code: i32) -> Answer {
        let shop = self.shop;
        let shown = format!("{:?}", self.command.get_args().collect::<Vec<_>>());
        let answer = self.run();
        if answer.code != code {
            panic!("{shown} ended with {}, not {code}: {answer:#?}\n{}", answer.code, shop.logs());
        }
        answer
    }
}

/// Waits until it holds.
#[track_caller]
pub fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until now can be restored to: the times of a backup are whole seconds, so a moment right behind the first
/// one still counts as inside it.
#[track_caller]
pub fn first_backup_is_past(shop: &Shop) {
    wait_for("the second after the first backup", || {
        let window = shop.cli("viewer", ["backup:window", "--format=json"]).succeeds().json();
        let begun = |earliest| shop.sql(&format!("select now() > '{earliest}'")) == "t";
        window["earliest"].as_str().is_some_and(begun)
    });
}

/// Now, as `--to` takes it, with microseconds.
pub fn moment(shop: &Shop) -> String {
    shop.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
}

/// Orders, each in a transaction of its own.
pub fn order(shop: &Shop, number: u32) {
    let mut sql = String::new();
    for _ in 0..number {
        sql.push_str("insert into orders default values;\n");
    }
    shop.sql(&sql);
}

/// Ends a child by a signal and gives what it wrote.
pub fn end(mut child: Child, signal: &str) -> Answer {
    let _ = child.stdin.take().map(|mut stdin| stdin.flush());
    Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().expect("kill");
    let output = child.wait_with_output().expect("its output");
    Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
