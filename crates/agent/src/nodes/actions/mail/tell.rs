//! `mail.whitelist` of the release that is served, told to every mail node that is there; nobody waits for the others.

use orocloud_protocol::node::{MailNotTold, MailTold, Probe, StepAction};
use orocloud_protocol::smtp::{ChangedAnswer, ShowAnswer};
use orocloud_protocol::{CallError, NodeName, NodeRole};
use serde_json::Value;

use crate::nodes::actions::{Action, ActionContext, OtherNodes};
use crate::nodes::mail::switch::LIMIT;
use crate::rules::whitelist::Named;

/// [`StepAction::MailTell`]
pub struct Tell<'a> {
    pub whitelist: &'a Named,
}

impl Tell<'_> {
    async fn all(&self, nodes: &dyn OtherNodes, mails: impl Iterator<Item = &NodeName>) -> MailTold {
        let mut told = MailTold::default();
        for mail in mails {
            match self.one(nodes, mail).await {
                Ok(holds) => {
                    let ShowAnswer { relays, recipients, .. } = holds;
                    told.told.push(mail.clone());
                    told.holds.get_or_insert(ChangedAnswer { relays, recipients });
                }
                Err(why) => told.not_told.push(MailNotTold { node: mail.clone(), why }),
            }
        }
        told
    }

    /// Gives what holds on a node once it is what is wanted.
    async fn one(&self, nodes: &dyn OtherNodes, mail: &NodeName) -> Result<ShowAnswer, CallError> {
        // One that is lost is seen here sooner than by its act.
        nodes.mail_holds(mail).await?;
        // Said also to one that has it: Postfix may not have read it.
        let action = StepAction::MailHold { whitelist: self.whitelist.clone(), beside: false };
        nodes.act(mail, "mail:hold", action, LIMIT).await?;
        let holds = nodes.mail_holds(mail).await?;
        if holds.recipients.application != *self.whitelist || holds.recipients.on_the_way {
            return Err(CallError::failed(format!("{mail} was told, and something else holds there")));
        }
        Ok(holds)
    }
}

impl Action for Tell<'_> {
    async fn act(&self, context: &ActionContext<'_>) -> Result<Value, CallError> {
        let nodes = context.coordinator.ok_or_else(|| CallError::internal("maint reaches no other node"))?;
        let mails = context.node.config.environment.with_role(NodeRole::Mail).map(|mail| &mail.name);
        context.output(&self.all(nodes, mails).await)
    }

    async fn undo(&self, _context: &ActionContext<'_>) -> Result<(), CallError> {
        // It is what the release says that is served.
        Ok(())
    }

    async fn probe(&self, _context: &ActionContext<'_>) -> Result<Probe, CallError> {
        // Telling them again changes nothing.
        Ok(Probe::Partial)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fakes::{Mails, Mood, named};
    use super::*;

    #[tokio::test]
    async fn whoever_is_there_is_told_and_the_others_are_named() {
        use Mood::{Away, Broken, Deaf, Well};
        for (mails, told, not_told) in [
            (&[("mail1", "-", Well), ("mail2", "a.example", Well)][..], "mail1 mail2", ""),
            (&[("mail1", "-", Away), ("mail2", "b.example", Well)], "mail2", "mail1"),
            (
                &[("mail1", "b.example", Broken), ("mail2", "-", Deaf), ("mail3", "-", Well)],
                "mail3",
                "mail1 mail2",
            ),
            (&[("mail1", "-", Away)], "", "mail1"),
        ] {
            let fakes = Mails::new(mails);
            let whitelist = named("a.example");
            let found = Tell { whitelist: &whitelist }.all(&fakes, fakes.names().iter()).await;
            let names =
                |names: Vec<&NodeName>| names.into_iter().map(NodeName::as_str).collect::<Vec<_>>().join(" ");
            assert_eq!(names(found.told.iter().collect()), told, "{mails:?}");
            assert_eq!(names(found.not_told.iter().map(|one| &one.node).collect()), not_told, "{mails:?}");
            let knows = |name: &NodeName| fakes.lists(name) == whitelist;
            assert!(found.told.iter().all(knows), "{mails:?}");
            let holds = found.holds.map(|holds| holds.recipients.application);
            assert_eq!(holds, (!told.is_empty()).then_some(whitelist), "{mails:?}");
        }
    }
}
