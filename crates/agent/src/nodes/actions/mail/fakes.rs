//! Mail nodes of a test, for steps that tell several of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use orocloud_protocol::node::{MailListedParams, PackageReceiveParams, StepAction};
use orocloud_protocol::smtp::{Recipients, ShowAnswer};
use orocloud_protocol::{CallError, ErrorKind, NodeName};
use serde_json::Value;

use crate::nodes::actions::{FromNode, OtherNodes};
use crate::operations::EventSink;
use crate::rules::whitelist::{self as rules, Named};

/// A list as a test writes it: `-` is none, and what stands between blanks one.
pub fn named(text: &str) -> Named {
    (text != "-").then(|| text.split_whitespace().map(|domain| domain.parse().unwrap()).collect())
}

/// How a mail node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It does as it is told.
    Well,
    /// Nobody reaches it.
    Away,
    /// It answers, and cannot do as it is told.
    Broken,
    /// It says that it did, and did not.
    Deaf,
}

/// Mail nodes, and web nodes that say what releases list.
pub struct Mails {
    /// What holds on each mail node, and how it is.
    mails: Mutex<BTreeMap<&'static str, (Named, Mood)>>,
    /// What a release says; `None` where that cannot be read.
    releases: BTreeMap<&'static str, Option<Named>>,
}

impl Mails {
    pub fn new(mails: &[(&'static str, &str, Mood)]) -> Self {
        let mails = mails.iter().map(|(name, list, mood)| (*name, (named(list), *mood))).collect();
        Self { mails: Mutex::new(mails), releases: BTreeMap::new() }
    }

    /// The same, and a release; `?` is a list that cannot be read.
    pub fn release(mut self, release: &'static str, list: &str) -> Self {
        self.releases.insert(release, (list != "?").then(|| named(list)));
        self
    }

    pub fn names(&self) -> Vec<NodeName> {
        self.mails.lock().unwrap().keys().map(|name| name.parse().unwrap()).collect()
    }

    /// What holds on one.
    pub fn lists(&self, mail: &NodeName) -> Named {
        self.mails.lock().unwrap()[mail.as_str()].0.clone()
    }
}

impl OtherNodes for Mails {
    fn send<'a>(
        &'a self,
        _to: &'a NodeName,
        _package: &'a PackageReceiveParams,
        _file: &'a Path,
        _events: &'a EventSink,
    ) -> FromNode<'a, ()> {
        unreachable!("nothing is sent")
    }

    fn mail_listed<'a>(&'a self, _web: &'a NodeName, asked: MailListedParams) -> FromNode<'a, Named> {
        let said = match self.releases.get(asked.release.as_str()) {
            Some(Some(list)) => Ok(list.clone()),
            Some(None) => Err(CallError::failed("its orocloud.yaml is wrong")),
            None => Err(CallError::new(ErrorKind::NotFound, "it is not there")),
        };
        Box::pin(async move { said })
    }

    fn mail_holds<'a>(&'a self, mail: &'a NodeName) -> FromNode<'a, ShowAnswer> {
        let (application, mood) = self.mails.lock().unwrap()[mail.as_str()].clone();
        Box::pin(async move {
            if mood == Mood::Away {
                return Err(CallError::new(ErrorKind::Unreachable, format!("{mail} is away")));
            }
            let whitelist = application.clone();
            let recipients = Recipients { whitelist, application, all: false, on_the_way: false };
            Ok(ShowAnswer {
                relays: Vec::new(),
                recipients,
                sender_domains: Vec::new(),
                unsigned: None,
                waiting: None,
                counts: None,
                silent: Vec::new(),
            })
        })
    }

    fn act<'a>(
        &'a self,
        on: &'a NodeName,
        _name: &'a str,
        action: StepAction,
        _limit: Duration,
    ) -> FromNode<'a, Value> {
        let StepAction::MailHold { whitelist, beside } = action else {
            unreachable!("mail nodes hold lists")
        };
        let mut mails = self.mails.lock().unwrap();
        let (holds, mood) = mails.get_mut(on.as_str()).unwrap();
        let outcome = match mood {
            Mood::Well => {
                *holds = if beside { rules::beside(holds, &whitelist) } else { whitelist };
                Ok(Value::Null)
            }
            Mood::Deaf => Ok(Value::Null),
            Mood::Away => Err(CallError::new(ErrorKind::Unreachable, format!("{on} is away"))),
            Mood::Broken => Err(CallError::failed("Postfix does not work by it")),
        };
        Box::pin(async move { outcome })
    }
}
