//! What mail nodes hold while a release is on its way whose `mail.whitelist` is another one.

use std::fs;
use std::path::Path;

use orocloud_protocol::node::StepAction;
use tokio_util::sync::CancellationToken;

use super::fakes::{Mails, Mood, named};
use super::hold::{Whitelist, can_be_told};
use crate::environment::Agent;
use crate::nodes::Node;
use crate::nodes::actions::*;
use crate::process::Processes;

const SERVED: &str = "20261129100000";
const COMING: &str = "20261129110000";

/// maint1 of a production with two mail nodes.
fn maint(folder: &Path) -> NodeRef {
    let at = |name: &str| folder.join(name).display().to_string();
    let nodes = ["maint1 maint", "mail1 mail", "mail2 mail"].map(|node| {
        let (name, role) = node.split_once(' ').unwrap();
        format!("[[node]]\nname = \"{name}\"\nroles = [\"{role}\"]\nzone = \"a\"\naddress = \"::1\"\n")
    });
    let environment = "format = 1\nname = \"acme-prod1\"\nproject = \"acme\"\ntype = \"prod\"\nurl = \"http://shop/\"\nkeeper = \"postgresql\"\n";
    let rest = "[application]\ndocument_root = \"public\"\n[repository]\nurl = \"x\"\n[backup]\n";
    fs::write(at("environment.toml"), format!("{environment}{}{rest}", nodes.concat())).unwrap();
    let agent = format!(
        "format = 1\nnode = \"maint1\"\nenvironment_file = \"{}\"\nstate = \"{}\"\nrun = \"/run\"\nlog = \"/tmp\"\n[service_manager]\nkind = \"systemd\"\n",
        at("environment.toml"),
        at("state")
    );
    fs::write(at("agent.toml"), agent).unwrap();
    fs::create_dir(at("state")).unwrap();
    Node::new(Agent::load(Path::new(&at("agent.toml"))).unwrap(), Processes::new(None))
}

#[tokio::test]
async fn nothing_begins_that_narrows_while_a_mail_node_is_away() {
    use Mood::{Away, Well};
    let folder = tempfile::tempdir().unwrap();
    let node = maint(folder.path());
    for (served, coming, mail2, refused) in [
        ("-", "a.example", Away, true),
        ("-", "a.example", Well, false),
        ("a.example", "a.example b.example", Away, false),
        ("a.example b.example", "a.example", Away, true),
        ("a.example", "a.example", Away, false),
        ("a.example", "-", Away, false),
        // The step that would tell them says what is wrong with it.
        ("a.example", "?", Away, false),
        // mail1 holds another one.
        ("?", "a.example", Away, true),
        ("?", "c.example d.example", Away, false),
    ] {
        let before = if served == "?" { "c.example" } else { served };
        let fakes = Mails::new(&[("mail1", before, Well), ("mail2", before, mail2)])
            .release(SERVED, served)
            .release(COMING, coming);
        let action = StepAction::MailWhitelist {
            release: COMING.parse().unwrap(),
            before: Some(SERVED.parse().unwrap()),
            webs: vec!["web1".parse().unwrap()],
            instead: Some("or this".to_owned()),
        };
        let outcome = can_be_told(&fakes, &node.config.environment, &action).await;
        assert_eq!(outcome.is_err(), refused, "{served} → {coming}: {outcome:?}");
        if let Err(error) = outcome {
            assert!(error.message.contains("mail2 cannot be told"), "{error}");
            assert_eq!(error.hints.last().map(String::as_str), Some("or this"));
        }
        assert!(fakes.names().iter().all(|mail| fakes.lists(mail) == named(before)), "nobody is told");
    }
}

#[tokio::test]
async fn each_mail_node_goes_back_to_what_it_held() {
    use Mood::{Away, Broken, Well};
    let (release, before) = (COMING.parse().unwrap(), SERVED.parse().unwrap());
    let webs = ["web1".parse().unwrap()];
    let action = Whitelist { release: &release, before: Some(&before), webs: &webs, instead: None };
    let (a, b, c, ab) = ("a.example", "b.example", "c.example", "a.example b.example");
    // Nobody can say what the release says that is served.
    for (coming, mail1, mail2, told) in [
        (c, (a, Well), (b, Well), Ok(["a.example c.example", "b.example c.example"])),
        (a, (a, Well), (ab, Well), Ok([a, ab])),
        // Whoever answers first does not speak for the others.
        (a, (a, Well), (ab, Broken), Err("mail2 cannot be told")),
        (a, (ab, Broken), (a, Well), Err("mail1 cannot be told")),
        (ab, (a, Well), (b, Broken), Ok([ab, b])),
        // One that does not answer may hold what the others do.
        (ab, (a, Well), (b, Away), Ok([ab, b])),
        (a, (ab, Well), (ab, Away), Err("mail2 cannot be told")),
        (a, (a, Away), (a, Away), Err("mail1 cannot be told")),
    ] {
        let case = format!("{coming}: {mail1:?} {mail2:?}");
        let folder = tempfile::tempdir().unwrap();
        let node = maint(folder.path());
        let fakes = Mails::new(&[("mail1", mail1.0, mail1.1), ("mail2", mail2.0, mail2.1)])
            .release(SERVED, "?")
            .release(COMING, coming);
        let context = ActionContext {
            node: &node,
            coordinator: Some(&fakes),
            operation: "01JDFZ8T6G0000000000000000".parse().unwrap(),
            step: "mail:whitelist",
            outputs: &Outputs::new(),
            events: EventSink::none(),
            cancel: CancellationToken::new(),
        };
        let lists = || fakes.names().iter().map(|mail| fakes.lists(mail)).collect::<Vec<_>>();
        // Repeated after a crash.
        for _ in 0..2 {
            match (action.act(&context).await, &told) {
                (Ok(_), Ok(told)) => assert_eq!(lists(), told.map(named), "{case}"),
                (Err(error), Err(said)) => assert!(error.message.contains(said), "{case}: {error}"),
                (outcome, _) => panic!("{case}: {outcome:?}"),
            }
        }
        action.undo(&context).await.unwrap();
        assert_eq!(lists(), [mail1.0, mail2.0].map(named), "{case}");
    }
}
