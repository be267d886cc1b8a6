//! `mail.whitelist` of a release that is on its way: it holds on the mail nodes before anybody is served by that release.

use std::time::Duration;

use orocloud_protocol::node::{MailListedParams, Probe, StepAction};
use orocloud_protocol::{
    CallError, EnvironmentType, ErrorKind, EventBody, NodeName, NodeRole, NoteLevel, OutputStream,
    ReleaseName,
};
use serde_json::Value;

use super::{Action, ActionContext, OtherNodes};
use crate::environment::Environment;
use crate::mail_settings::Desired;
use crate::nodes::mail::{Configurations, section};
use crate::nodes::mail_switch::{self, cancelled};
use crate::rules::whitelist::{Named, beside, narrows};

/// How long a mail node may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The mark of what the release says that is served, once a mail node may have been told of the other one.
const BEFORE: &str = "mail:whitelist";

/// [`orocloud_protocol::node::StepAction::MailWhitelist`]
pub struct Whitelist<'a> {
    pub release: &'a ReleaseName,
    pub before: Option<&'a ReleaseName>,
    pub webs: &'a [NodeName],
    pub instead: Option<&'a str>,
}

/// Refuses what [`Whitelist`] would, while nothing has begun that would have to be undone. Whatever cannot be known yet is
/// left to it.
pub async fn can_be_told(
    nodes: &dyn OtherNodes,
    environment: &Environment,
    action: &StepAction,
) -> Result<(), CallError> {
    let StepAction::MailWhitelist { release, before, webs, instead } = action else { return Ok(()) };
    let whitelist = Whitelist { release, before: before.as_ref(), webs, instead: instead.as_deref() };
    let Ok((Some(before), coming)) = whitelist.listed(nodes).await else { return Ok(()) };
    if narrows(environment.kind, &before, &coming) {
        whitelist.all_are_there(nodes, environment).await?;
    }
    Ok(())
}

impl Whitelist<'_> {
    async fn all_are_there(
        &self,
        nodes: &dyn OtherNodes,
        environment: &Environment,
    ) -> Result<(), CallError> {
        for mail in environment.with_role(NodeRole::Mail) {
            nodes.mail_holds(&mail.name).await.map_err(|error| self.cannot_narrow(&mail.name, &error))?;
        }
        Ok(())
    }

    /// What the release on its way says, and the one that is served where that can be read: by the first web node that says
    /// both. A fault in the one that is served must not keep the one that mends it away.
    async fn listed(&self, nodes: &dyn OtherNodes) -> Result<(Option<Named>, Named), CallError> {
        let ask = async |web: &NodeName, release: &ReleaseName| {
            nodes.mail_listed(web, MailListedParams { release: release.clone() }).await
        };
        let (mut fault, mut found) = (None, None);
        for web in self.webs {
            let coming = match ask(web, self.release).await {
                Ok(coming) => coming,
                Err(error) => {
                    fault.get_or_insert(error);
                    continue;
                }
            };
            let Some(before) = self.before else { return Ok((Some(None), coming)) };
            match ask(web, before).await {
                Ok(before) => return Ok((Some(before), coming)),
                // It is recorded, and lies nowhere.
                Err(error) if error.kind == ErrorKind::NotFound => return Ok((Some(None), coming)),
                Err(_) => found = Some((None, coming)),
            }
        }
        found.ok_or_else(|| {
            fault.unwrap_or_else(|| CallError::internal("no web node is named that has the release"))
        })
    }

    /// What is followed while nobody can say what the release that is served says: what the mail nodes hold.
    async fn held(&self, context: &ActionContext<'_>, nodes: &dyn OtherNodes) -> Result<Named, CallError> {
        // They may have been told already, before a crash.
        if let Some(before) = context.marks().get::<Named>(BEFORE)? {
            return Ok(before);
        }
        let mut fault = None;
        for mail in context.node.config.environment.with_role(NodeRole::Mail) {
            match nodes.mail_holds(&mail.name).await {
                Ok(held) => return Ok(held.recipients.application),
                Err(error) => drop(fault.get_or_insert_with(|| self.cannot_narrow(&mail.name, &error))),
            }
        }
        Err(fault.unwrap_or_else(|| CallError::internal("there is no mail node")))
    }

    /// Tells every mail node; gives those that cannot be told.
    async fn tell(
        context: &ActionContext<'_>,
        whitelist: &Named,
        beside: bool,
    ) -> Vec<(NodeName, CallError)> {
        let mut faults = Vec::new();
        let Some(nodes) = context.coordinator else { return faults };
        for mail in context.node.config.environment.with_role(NodeRole::Mail) {
            let action = StepAction::MailHold { whitelist: whitelist.clone(), beside };
            if let Err(error) = nodes.act(&mail.name, "mail:hold", action, LIMIT).await {
                faults.push((mail.name.clone(), error));
            }
        }
        faults
    }

    fn cannot_narrow(&self, mail: &NodeName, error: &CallError) -> CallError {
        let error = CallError::failed(format!(
            "release {} lets mail reach fewer than now, and {mail} cannot be told so",
            self.release
        ))
        .because(error)
        .hint("see what is wrong, and repeat your command once it is well: orocloud-cli status");
        match self.instead {
            Some(instead) => error.hint(instead),
            None => error,
        }
    }
}

impl Action for Whitelist<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let nodes = context.coordinator.ok_or_else(|| CallError::internal("maint reaches no other node"))?;
        let (before, coming) = self.listed(nodes).await?;
        let before = match before {
            Some(before) => before,
            None => self.held(context, nodes).await?,
        };
        if before == coming {
            let text = "mail.whitelist is what it was: nothing is to be done".to_owned();
            context.events.emit(EventBody::Output {
                stream: OutputStream::Stdout,
                text,
                step: None,
                node: None,
            });
            return Ok(Value::Null);
        }
        let kind = context.node.config.environment.kind;
        if coming.is_none() {
            // Until it is sure to stay no list is taken away. Then it has to be.
            if narrows(kind, &before, &coming) {
                self.all_are_there(nodes, &context.node.config.environment).await?;
            }
            let text =
                format!("release {} has no mail.whitelist: the one that holds goes after this", self.release);
            context.events.emit(EventBody::Note { level: NoteLevel::Info, text });
            return Ok(Value::Null);
        }
        context.marks().set(BEFORE, &before)?;
        let faults = tokio::select! {
            faults = Self::tell(context, &coming, true) => faults,
            () = context.cancel.cancelled() => return Err(cancelled()),
        };
        for (mail, error) in &faults {
            if narrows(kind, &before, &coming) {
                return Err(self.cannot_narrow(mail, error));
            }
            let text = format!(
                "{mail} cannot be told whom mail.whitelist of release {} lets mail reach besides; it is told as soon as it can be: {error}",
                self.release
            );
            context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
        }
        if faults.is_empty() {
            let text = format!("mail.whitelist of release {} holds", self.release);
            context.events.emit(EventBody::Note { level: NoteLevel::Info, text });
        }
        Ok(Value::Null)
    }

    async fn undo(&self, context: &ActionContext<'_>) -> Result<(), CallError> {
        let Some(before) = context.marks().get::<Named>(BEFORE)? else { return Ok(()) };
        // Whoever cannot be told follows the release that is served once the operation has ended: nobody waits here.
        for (mail, error) in Self::tell(context, &before, false).await {
            let text = format!(
                "{mail} cannot be told of the mail.whitelist that was; it is told as soon as it can be: {error}"
            );
            context.events.emit(EventBody::Note { level: NoteLevel::Warning, text });
        }
        context.marks().clear(BEFORE)
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Telling them again changes nothing.
        Ok(Probe::Partial)
    }
}

/// [`orocloud_protocol::node::StepAction::MailHold`]
pub struct Hold<'a> {
    pub whitelist: &'a Named,
    pub beside: bool,
}

impl Hold<'_> {
    /// What is to hold in place of what does.
    fn wanted(&self, holds: &Desired, kind: EnvironmentType) -> Desired {
        let (application, on_the_way) = match self.beside {
            // Everybody is reached by the release that is served, and what waits in the queue may be its mail.
            true => (
                beside(&holds.application, self.whitelist),
                self.whitelist.is_some() && (holds.on_the_way || holds.recipients(kind).all),
            ),
            false => (self.whitelist.clone(), false),
        };
        Desired { application, on_the_way, ..holds.clone() }
    }
}

impl Action for Hold<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let postfix = section(context.node)?;
        let configurations = Configurations::new(postfix);
        let holds = configurations.desired()?;
        let wanted = self.wanted(&holds, context.node.config.environment.kind);
        if wanted != holds {
            mail_switch::put(context.node, postfix, &wanted).await?;
        } else if configurations.is_unread()? {
            let current = configurations.current()?;
            mail_switch::read_anew(context.node, postfix, &configurations, &current).await?;
        }
        Ok(Value::Null)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // Whoever wants another one says so.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        Ok(Probe::Partial)
    }
}

#[cfg(test)]
mod tests {
    use orocloud_protocol::MailDomain;
    use orocloud_protocol::node::PackageReceiveParams;
    use orocloud_protocol::smtp::ShowAnswer;

    use super::*;
    use crate::nodes::actions::FromNode;
    use crate::nodes::actions::mail_fakes::{Mails, Mood, named};
    use crate::operations::EventSink;

    #[test]
    fn mail_waits_while_a_first_whitelist_of_production_is_on_its_way() {
        use EnvironmentType::{Prod, Stag};
        let list = |text: &str| -> Named { Some(vec![text.parse().unwrap()]) };
        let (a, b) = (list("a.example"), list("b.example"));
        let none = Desired::default();
        let by_hand = Desired { whitelist: a.clone(), ..Desired::default() };
        let follows = Desired { application: a.clone(), ..Desired::default() };
        let begun = Desired { on_the_way: true, ..follows.clone() };
        for (number, (holds, whitelist, beside, kind, waits)) in [
            (&none, &a, true, Prod, true),
            (&none, &a, true, Stag, false),
            (&none, &a, false, Prod, false),
            // Mail to others is dropped already.
            (&by_hand, &b, true, Prod, false),
            (&follows, &b, true, Prod, false),
            // Told again after a crash.
            (&begun, &a, true, Prod, true),
            (&begun, &a, false, Prod, false),
            (&begun, &None, false, Prod, false),
        ]
        .into_iter()
        .enumerate()
        {
            let wanted = Hold { whitelist, beside }.wanted(holds, kind);
            assert_eq!(wanted.on_the_way, waits, "{number}: {wanted:?}");
            assert_eq!(
                Hold { whitelist, beside }.wanted(&wanted, kind),
                wanted,
                "{number}: it may be repeated"
            );
        }
    }

    /// Web nodes, and what each says of the release that is served and of the one on its way.
    struct Webs<'a>(&'a [(&'a str, Said<'a>, Said<'a>)]);

    type Said<'a> = Result<&'a str, ErrorKind>;

    impl OtherNodes for Webs<'_> {
        fn send<'a>(
            &'a self,
            _to: &'a NodeName,
            _package: &'a PackageReceiveParams,
            _file: &'a std::path::Path,
            _events: &'a EventSink,
        ) -> FromNode<'a, ()> {
            unreachable!("nothing is sent")
        }

        fn mail_listed<'a>(&'a self, web: &'a NodeName, asked: MailListedParams) -> FromNode<'a, Named> {
            let (_, served, coming) = *self.0.iter().find(|(name, ..)| *name == web.as_str()).unwrap();
            let answer = if asked.release.as_str() == "20261129100000" { served } else { coming };
            Box::pin(async move {
                let said = answer.map_err(|kind| CallError::new(kind, "a fault"))?;
                Ok((said != "-").then(|| vec![said.parse().unwrap()]))
            })
        }

        fn mail_holds<'a>(&'a self, _mail: &'a NodeName) -> FromNode<'a, ShowAnswer> {
            unreachable!("no mail node is asked")
        }

        fn act<'a>(
            &'a self,
            _on: &'a NodeName,
            _name: &'a str,
            _action: StepAction,
            _limit: Duration,
        ) -> FromNode<'a, Value> {
            unreachable!("nobody acts")
        }
    }

    #[tokio::test]
    async fn a_fault_of_the_release_that_is_served_keeps_no_other_away() {
        use ErrorKind::{Failed, NotFound, Unreachable};
        let [served, release] = ["20261129100000", "20261129110000"].map(|name| name.parse().unwrap());
        let said = |found: &Named| match found {
            None => "-".to_owned(),
            Some(list) => list.iter().map(MailDomain::as_str).collect::<Vec<_>>().join(" "),
        };
        for (webs, expected) in [
            (&[("web1", Ok("a.example"), Ok("b.example"))][..], "a.example → b.example"),
            (&[("web1", Err(NotFound), Ok("b.example"))], "- → b.example"),
            (&[("web1", Err(Failed), Ok("b.example"))], "? → b.example"),
            (&[("web1", Ok("-"), Err(Failed))], "failed"),
            // Lost between the two questions.
            (
                &[("web1", Err(Unreachable), Ok("b.example")), ("web2", Ok("a.example"), Ok("b.example"))],
                "a.example → b.example",
            ),
            (
                &[("web1", Err(Failed), Ok("b.example")), ("web2", Err(Unreachable), Err(Unreachable))],
                "? → b.example",
            ),
            (
                &[("web1", Ok("a.example"), Err(Unreachable)), ("web2", Ok("a.example"), Ok("-"))],
                "a.example → -",
            ),
        ] {
            let names: Vec<NodeName> = webs.iter().map(|(name, ..)| name.parse().unwrap()).collect();
            let whitelist =
                Whitelist { release: &release, before: Some(&served), webs: &names, instead: None };
            let found = match whitelist.listed(&Webs(webs)).await {
                Ok((before, coming)) => {
                    format!("{} → {}", before.as_ref().map_or("?".to_owned(), said), said(&coming))
                }
                Err(_) => "failed".to_owned(),
            };
            assert_eq!(found, expected, "{webs:?}");
        }
    }

    #[tokio::test]
    async fn nothing_begins_that_narrows_while_a_mail_node_is_away() {
        use Mood::{Away, Well};
        const SERVED: &str = "20261129100000";
        const COMING: &str = "20261129110000";
        let environment: Environment = toml::from_str(
            "format = 1\nname = \"acme-prod1\"\nproject = \"acme\"\ntype = \"prod\"\nurl = \"http://shop/\"\nkeeper = \"postgresql\"\n\
             [[node]]\nname = \"mail1\"\nroles = [\"mail\"]\nzone = \"a\"\naddress = \"::1\"\n\
             [[node]]\nname = \"mail2\"\nroles = [\"mail\"]\nzone = \"b\"\naddress = \"::1\"\n\
             [application]\ndocument_root = \"public\"\n[repository]\nurl = \"x\"\n[backup]\n",
        )
        .unwrap();
        for (served, coming, mail2, refused) in [
            ("-", "a.example", Away, true),
            ("-", "a.example", Well, false),
            ("a.example", "a.example b.example", Away, false),
            ("a.example b.example", "a.example", Away, true),
            ("a.example", "a.example", Away, false),
            ("a.example", "-", Away, false),
            // The step that would tell them says what is wrong with it.
            ("a.example", "?", Away, false),
        ] {
            let fakes = Mails::new(&[("mail1", served, Well), ("mail2", served, mail2)])
                .release(SERVED, served)
                .release(COMING, coming);
            let action = StepAction::MailWhitelist {
                release: COMING.parse().unwrap(),
                before: Some(SERVED.parse().unwrap()),
                webs: vec!["web1".parse().unwrap()],
                instead: Some("or this".to_owned()),
            };
            let outcome = can_be_told(&fakes, &environment, &action).await;
            assert_eq!(outcome.is_err(), refused, "{served} → {coming}: {outcome:?}");
            if let Err(error) = outcome {
                assert!(error.message.contains("mail2 cannot be told"), "{error}");
                assert_eq!(error.hints.last().map(String::as_str), Some("or this"));
            }
            assert!(fakes.names().iter().all(|mail| fakes.lists(mail) == named(served)), "nobody is told");
        }
    }
}
