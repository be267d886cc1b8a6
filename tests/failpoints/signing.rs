//! Mail: whoever is killed while another key begins to sign, which nobody types, mail goes on, signed with the key before or
//! with the next one, and in the end with that.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::mortal::{Mortal, Planned};
use super::walk::{Deaths, Met};
use crate::smtp::SENDER;
use crate::smtp_dns::{dns, is_verified, key_is, publish, records, selector};
use crate::support::{Shop, wait_for};

/// What the coordinator does once DNS has a key.
pub fn planned() -> Planned {
    let steps = ["mail:stage", "mail:write", "mail:switch"].map(str::to_owned).to_vec();
    Planned { before: steps.len(), steps }
}

/// Has a further key made as soon as one signs.
fn rotates_at_once(shop: &Shop) {
    let config = shop.node_dir("mail1").join("etc/agent.toml");
    let text = fs::read_to_string(&config).expect("a configuration");
    if !text.contains("rotate_after_days") {
        let text = text.replace("[signer]\n", "[signer]\nrotate_after_days = 0\n");
        fs::write(&config, text).expect("another one");
        let mail = shop.sandbox.node("mail1").expect("mail1");
        mail.restart_service("agent").expect("it is started anew");
    }
}

/// Sends a message past whoever died, and looks which key signed it: one of these selectors, or none.
#[track_caller]
fn is_signed(shop: &Shop, server: &str, to: &str, with: &[Option<&str>]) {
    let id = format!("{}@shop", to.replace(['@', '.'], "-"));
    shop.sandbox.submit(SENDER, to, std::slice::from_ref(&id)).expect("Postfix takes it");
    let taken = || {
        let all = shop.sandbox.mail_of(server);
        let texts = all.iter().filter_map(|mail| mail["data"].as_str());
        texts.filter(|text| text.contains(&id)).map(str::to_owned).next()
    };
    wait_for(&id, || taken().is_some());
    let message = taken().expect("a message");
    let by = selector(&message);
    let logs = || shop.sandbox.logs_of("mail1");
    assert!(with.contains(&by.as_deref()), "{with:?}: {message}\n{}", logs());
    assert!(by.is_none() || is_verified(shop, &message), "{message}\n{}", logs());
}

/// Publishes the key that waits, and kills whoever comes by these points while it begins to sign.
pub fn killed(mortal: &Mortal, server: &str, deaths: &Deaths, number: u32) -> Met {
    let shop = &mortal.shop;
    rotates_at_once(shop);
    let all = records(&dns(shop));
    let keys: Vec<&Value> = all.iter().filter(|record| record["kind"] == "dkim").collect();
    let of = |use_: &str| {
        let key = keys.iter().find(|key| key["key"] == use_)?;
        key["name"].as_str()?.split_once("._domainkey").map(|(selector, _)| selector.to_owned())
    };
    let (before, next) = (of("signing"), of("next").expect("a key that waits"));
    let next_name = format!("{next}._domainkey.example.com");
    let (before, next) = (before.as_deref(), Some(next.as_str()));

    mortal.dies_at(&deaths[0]);
    publish(shop, &keys);
    let (signs, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut died = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            // Whoever asks has the coordinator look, too.
            while !is_over.load(Ordering::Relaxed) {
                let answer = dns(shop);
                let is_so = [0, 9].contains(&answer.code) && key_is(&answer, &next_name, "signing");
                signs.store(is_so, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(100));
            }
        });
        // A failure ends the other thread too.
        let _over = Over(&is_over);
        for (index, point) in deaths.iter().enumerate() {
            wait_for(point, || mortal.is_dead() || signs.load(Ordering::Relaxed));
            if !mortal.is_dead() {
                break;
            }
            died += 1;
            is_signed(shop, server, &format!("dead{number}x{index}@listed.example"), &[before, next]);
            if let Some(following) = deaths.get(index + 1) {
                mortal.dies_at(following);
            }
            mortal.revive();
        }
        // What was cut short may be taken back first; then it is done once more.
        wait_for("the end of what was cut short", || is_idle(mortal));
        signs.store(false, Ordering::Relaxed);
        wait_for("signatures with the next key", || signs.load(Ordering::Relaxed));
        wait_for("the end of that", || is_idle(mortal));
    });
    mortal.lives();
    is_signed(shop, server, &format!("alive{number}@listed.example"), &[next]);
    if died > 0 { Met::Yes } else { Met::No }
}

fn is_idle(mortal: &Mortal) -> bool {
    let running = mortal.run("viewer", &["operation:list", "--format=json"]);
    running.code == 0 && running.json()["items"] == Value::Array(Vec::new())
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
