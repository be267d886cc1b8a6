//! `mail.whitelist` of a release that is on its way: it holds on the mail nodes before anybody is served by that release.

use std::collections::BTreeMap;

use orocloud_protocol::node::{MailListedParams, Probe, StepAction};
use orocloud_protocol::{
    CallError, EnvironmentType, ErrorKind, EventBody, NodeName, NodeRole, NoteLevel, OutputStream,
    ReleaseName,
};
use serde_json::Value;

use crate::environment::Environment;
use crate::mail_settings::Desired;
use crate::nodes::actions::{Action, ActionContext, OtherNodes};
use crate::nodes::mail::switch::{self, LIMIT, cancelled};
use crate::nodes::mail::{Configurations, section};
use crate::rules::whitelist::{Named, beside, narrows};

/// The mark of what mail nodes go back to, once one may have been told of the list that comes.
const BEFORE: &str = "mail:whitelists";

/// What each mail node goes back to; one that did not say what it holds is missing.
type Before = BTreeMap<NodeName, Named>;

/// A mail node that cannot be told, and why.
type Fault = (NodeName, CallError);

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
    let Ok((served, coming)) = whitelist.listed(nodes).await else { return Ok(()) };
    let (before, _) = whitelist.before(nodes, environment, served, None).await?;
    if before.values().any(|before| narrows(environment.kind, before, &coming)) {
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

    /// What each mail node goes back to, and which do not say it: what the release says that is served, or what holds there
    /// while nobody can say that.
    async fn before(
        &self,
        nodes: &dyn OtherNodes,
        environment: &Environment,
        served: Option<Named>,
        told: Option<Before>,
    ) -> Result<(Before, Vec<Fault>), CallError> {
        let mails = environment.with_role(NodeRole::Mail).map(|mail| &mail.name);
        if let Some(served) = served {
            return Ok((mails.map(|mail| (mail.clone(), served.clone())).collect(), Vec::new()));
        }
        // Some may have been told already, before a crash; what they hold is no longer what they are to go back to.
        let (mut before, mut faults) = (told.unwrap_or_default(), Vec::new());
        for mail in mails {
            if before.contains_key(mail) {
                continue;
            }
            match nodes.mail_holds(mail).await {
                Ok(held) => drop(before.insert(mail.clone(), held.recipients.application)),
                Err(error) => faults.push((mail.clone(), error)),
            }
        }
        match faults.first() {
            Some((mail, error)) if before.is_empty() => Err(self.cannot_narrow(mail, error)),
            _ => Ok((before, faults)),
        }
    }

    /// Tells mail nodes what each is to hold; gives those that cannot be told.
    async fn tell<'n>(
        nodes: &dyn OtherNodes,
        lists: impl Iterator<Item = (&'n NodeName, &'n Named)>,
        beside: bool,
    ) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (mail, whitelist) in lists {
            let action = StepAction::MailHold { whitelist: whitelist.clone(), beside };
            if let Err(error) = nodes.act(mail, "mail:hold", action, LIMIT).await {
                faults.push((mail.clone(), error));
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
        let environment = &context.node.config.environment;
        let (served, coming) = self.listed(nodes).await?;
        let told = context.marks().get::<Before>(BEFORE)?;
        let (before, unknown) = self.before(nodes, environment, served, told).await?;
        if unknown.is_empty() && before.values().all(|before| *before == coming) {
            let text = "mail.whitelist is what it was: nothing is to be done".to_owned();
            context.events.emit(EventBody::Output {
                stream: OutputStream::Stdout,
                text,
                step: None,
                node: None,
            });
            return Ok(Value::Null);
        }
        let narrowed = |before: &Named| narrows(environment.kind, before, &coming);
        let some_are_narrowed = before.values().any(narrowed);
        if coming.is_none() {
            // Until it is sure to stay no list is taken away. Then it has to be.
            if some_are_narrowed {
                self.all_are_there(nodes, environment).await?;
            }
            let text =
                format!("release {} has no mail.whitelist: the one that holds goes after this", self.release);
            context.events.emit(EventBody::Note { level: NoteLevel::Info, text });
            return Ok(Value::Null);
        }
        context.marks().set(BEFORE, &before)?;
        let mut faults = tokio::select! {
            faults = Self::tell(nodes, before.keys().map(|mail| (mail, &coming)), true) => faults,
            () = context.cancel.cancelled() => return Err(cancelled()),
        };
        // One that did not say what it holds is not told either: nobody would know what it goes back to.
        faults.extend(unknown);
        for (mail, error) in &faults {
            if before.get(mail).map_or(some_are_narrowed, narrowed) {
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
        let Some(before) = context.marks().get::<Before>(BEFORE)? else { return Ok(()) };
        let nodes = context.coordinator.ok_or_else(|| CallError::internal("maint reaches no other node"))?;
        // Whoever cannot be told follows the release that is served once the operation has ended: nobody waits here.
        for (mail, error) in Self::tell(nodes, before.iter(), false).await {
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
            switch::put(context.node, postfix, &wanted).await?;
        } else if configurations.is_unread()? {
            switch::settle(context.node, postfix).await?;
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
    use std::time::Duration;

    use orocloud_protocol::MailDomain;
    use orocloud_protocol::node::PackageReceiveParams;
    use orocloud_protocol::smtp::ShowAnswer;

    use super::*;
    use crate::nodes::actions::FromNode;
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
}
