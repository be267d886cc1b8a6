//! Mail: whoever is killed, it goes by the old configuration or by the new one, whole.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::mortal::Mortal;
use super::signing;
use super::walk::{Deaths, Dice, Share, walk};
use crate::smtp::{SENDER, Server};

/// What is changed while somebody is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The relay becomes another server, with another authority.
    Relay,
    /// There is a whitelist, or none any more.
    Whitelist,
}

/// What holds: the server that the one relay is, and whether there is a whitelist.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holds {
    server: &'static str,
    whitelist: bool,
}

const SERVERS: [&str; 2] = ["relay1", "relay2"];

/// What is on the whitelist when there is one.
const LISTED: &str = "listed.example";

struct Place {
    mortal: Mortal,
    /// Recipients so far, of which each is another.
    asked: u32,
}

impl Place {
    fn start() -> Self {
        let mortal = Mortal::start_with_mail();
        let server = Server { shop: &mortal.shop, server: SERVERS[0] };
        let set = server.set("main", &[], &server.password());
        assert_eq!(set.code, 0, "{set:#?}");
        Self { mortal, asked: 0 }
    }

    fn password(&self) -> PathBuf {
        self.mortal.shop.node_dir(SERVERS[0]).join("etc/password")
    }

    /// What makes it different from what holds.
    fn command(&self, change: Change, holds: &Holds) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match change {
            Change::Whitelist if holds.whitelist => words(&["smtp:whitelist", "clear"]),
            Change::Whitelist => words(&["smtp:whitelist", "add", LISTED]),
            Change::Relay => {
                let server = Server { shop: &self.mortal.shop, server: holds.other().server };
                let mut set = words(&["smtp:relay:set", "main"]);
                set.extend(server.options());
                set
            }
        }
    }

    fn holds(&self) -> Holds {
        let shop = &self.mortal.shop;
        let shown = shop.cli("viewer", ["smtp:show", "--format=json"]).succeeds().json();
        assert_eq!(shown["relays"].as_array().map(Vec::len), Some(1), "{shown}");
        let host = shown["relays"][0]["host"].as_str().expect("a host");
        let is_it = |server: &&'static str| Server { shop, server }.address() == host;
        let server = SERVERS.into_iter().find(is_it).expect("one of the servers");
        assert_eq!(shown["waiting"], 0, "{shown}");
        Holds { server, whitelist: shown["recipients"].get("whitelist").is_some() }
    }

    /// Sends and looks who took it: as it holds, and as Postfix is told it in files.
    fn flows(&mut self, holds: &Holds, case: &str) {
        self.asked += 1;
        let shop = &self.mortal.shop;
        let (at, not_at) = (holds.server, holds.other().server);
        let taken = |server, to: &str| Server { shop, server }.taken(to);
        for (domain, reached) in [(LISTED, true), ("other.example", !holds.whitelist)] {
            if domain == LISTED && !holds.whitelist {
                continue;
            }
            let to = format!("ann{}@{domain}", self.asked);
            let sent = shop.cli("developer", ["smtp:test", &format!("--to={to}")]).run();
            let logs = || shop.sandbox.logs_of("mail1");
            assert_eq!(sent.code, if reached { 0 } else { 9 }, "{case}: {sent:#?}\n{}", logs());
            assert!(reached || sent.stderr.contains("is dropped"), "{case}: {sent:#?}");
            // One from each web node.
            let expected = if reached { 2 } else { 0 };
            assert_eq!((taken(at, &to), taken(not_at, &to)), (expected, 0), "{case}: {sent:#?}\n{}", logs());
        }
        let config = shop.node_dir("mail1").join("state/postfix/config");
        let main = fs::read_to_string(config.join("main.cf")).expect("main.cf");
        let folder = fs::canonicalize(&config).expect("a configuration");
        // Every file that it names is its own.
        let maps: Vec<&str> =
            main.lines().filter_map(|line| line.split_once("texthash:")).map(|one| one.1).collect();
        assert!(maps.len() > 2 && maps.iter().all(|map| PathBuf::from(map).starts_with(&folder)), "{maps:?}");
        let address = Server { shop, server: at }.address();
        let relays =
            if holds.whitelist { fs::read_to_string(folder.join("transport")).expect("a map") } else { main };
        assert!(relays.contains(&format!("[{address}]:2525")), "{case}: {relays}");
    }

    /// Sends past whoever died: by what held before or by what is to hold, and by these servers.
    fn goes_on(&self, death: usize, servers: [&'static str; 2], case: &str) {
        let shop = &self.mortal.shop;
        let to = format!("dead{}x{death}@{LISTED}", self.asked);
        let id = format!("dead{}x{death}@shop", self.asked);
        shop.sandbox.submit(SENDER, &to, std::slice::from_ref(&id)).expect("Postfix takes it");
        let taken = || SERVERS.map(|server| Server { shop, server }.taken(&to));
        let end = Instant::now() + Duration::from_secs(120);
        while taken() == [0, 0] {
            assert!(Instant::now() < end, "{case}: nobody took {to}\n{}", shop.sandbox.logs_of("mail1"));
            thread::sleep(Duration::from_millis(50));
        }
        let strange =
            SERVERS.iter().zip(taken()).find(|(server, taken)| *taken > 0 && !servers.contains(server));
        assert!(strange.is_none() && taken().iter().sum::<usize>() == 1, "{case}: {to}: {:?}", taken());
    }

    /// A candidate that nobody switched to is gone.
    fn is_tidy(&self, case: &str) {
        let folder = self.mortal.shop.node_dir("mail1").join("state/postfix");
        let entries = fs::read_dir(folder).expect("configurations").flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count();
        assert!(folders <= 2, "{case}: {folders} configurations");
    }
}

impl Holds {
    fn other(&self) -> Self {
        let server = if self.server == SERVERS[0] { SERVERS[1] } else { SERVERS[0] };
        Self { server, ..self.clone() }
    }
}

fn walk_mail(share: Share, signing: Share) {
    let first = Place::start();
    let mut dice = Dice::new();
    // Without a change it is the coordinator that does something by itself.
    let mut points: Vec<(Option<Change>, Deaths)> = Vec::new();
    for (change, command) in [
        (Change::Relay, ["smtp:relay:set", "main", "--priority=20"]),
        (Change::Whitelist, ["smtp:whitelist", "add", LISTED]),
    ] {
        let planned = first.mortal.planned("operator", &command);
        points.extend(dice.acts_and_undos(&planned, share).into_iter().map(|deaths| (Some(change), deaths)));
    }
    let signing = dice.acts_and_undos(&signing::planned(), signing);
    points.extend(signing.into_iter().map(|deaths| (None, deaths)));
    let first = RefCell::new(Some(first));
    let start = || first.take().unwrap_or_else(Place::start);
    walk("mail", points, start, |place, (change, deaths)| {
        let case = format!("{change:?} {deaths:?}");
        let before = place.holds();
        let Some(change) = change else {
            place.asked += 1;
            let met = signing::killed(&place.mortal, before.server, deaths, place.asked);
            assert_eq!(place.holds(), before, "{case}");
            place.flows(&before, &case);
            place.is_tidy(&case);
            return met;
        };
        let command = place.command(*change, &before);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let password = place.password();
        let reads = (*change == Change::Relay).then_some(password.as_path());
        let changed = match change {
            Change::Relay => before.other(),
            Change::Whitelist => Holds { whitelist: !before.whitelist, ..before.clone() },
        };
        place.asked += 1;
        let goes_on = |death| place.goes_on(death, [before.server, changed.server], &case);
        let ended = place.mortal.killed_while_reading(deaths, "operator", &command, reads, goes_on);
        let after = place.holds();
        let answer = ended.verdict().expect("no node of mail is left behind");
        assert_eq!(after, if answer.code == 0 { changed } else { before }, "{case}: {answer:#?}");
        place.flows(&after, &case);
        place.is_tidy(&case);
        ended.met()
    });
}

#[test]
fn a_change_of_mail_killed_at_some_points() {
    walk_mail(Share::OneIn(8), Share::Some(1));
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_change_of_mail_killed_at_every_point() {
    walk_mail(Share::All, Share::Some(0));
}

#[test]
#[ignore = "slow: cargo xtask test --all"]
fn a_key_that_begins_to_sign_killed_at_every_point() {
    walk_mail(Share::Some(0), Share::All);
}
