//! Steps that bring another version of the code to the web nodes: shared by the first deployment and by upgrades.

use orocloud_protocol::backup::CodeVersion;
use orocloud_protocol::node::{self, ConsoleCommands, StepAction};
use orocloud_protocol::{CallError, NodeName, NodeRole, Reference, ReleaseName};

use crate::calls::Context;
use crate::calls::backup::facts::Places;
use crate::calls::backup::point::step;
use crate::calls::status::Answers;
use crate::environment::Environment;
use crate::nodes::actions;
use crate::operations::plan::{OnLoss, OperationPlan, Step};

/// A version on its way to the web nodes.
#[derive(Clone, Copy, Debug)]
pub struct CodeOrder<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// Its nodes.
    pub places: &'a Places,
    /// What the version is called on the nodes.
    pub release: &'a ReleaseName,
    /// What was asked for.
    pub reference: &'a Reference,
    /// What is served until then; nothing at the first deployment.
    pub before: Option<&'a CodeVersion>,
    /// Key id of whoever brings it.
    pub by: &'a str,
}

impl CodeOrder<'_> {
    /// The web node on which what is needed once runs.
    pub fn first(&self) -> Result<&NodeName, CallError> {
        self.places.webs.first().ok_or_else(|| {
            CallError::failed(format!("no node of {} has the role web", self.environment.name))
                .hint("name it in environment.toml")
        })
    }

    /// A step on the coordinator.
    pub fn maint(&self, name: &str, action: StepAction) -> Step {
        step(name, &self.places.maint, action)
    }

    /// The same step on every web node, side by side. A node that is lost, or will not, is left behind: the shop goes on
    /// without it.
    pub fn each(&self, name: &str, action: impl Fn() -> StepAction) -> Vec<Step> {
        let of = |node| step(name, node, action()).on_loss(OnLoss::Leave);
        self.places.webs.iter().map(of).collect()
    }

    /// The same step on every node that has the application. One that serves nobody is waited for.
    pub fn each_with_code(&self, name: &str, action: impl Fn() -> StepAction) -> Vec<Step> {
        let of = |node| match self.places.webs.contains(node) {
            true => step(name, node, action()).on_loss(OnLoss::Leave),
            false => step(name, node, action()),
        };
        self.places.code.iter().map(of).collect()
    }

    /// The source, at the commit that the reference means now.
    pub fn fetch(&self) -> Step {
        let action =
            StepAction::SourceFetch { reference: self.reference.clone(), release: self.release.clone() };
        self.maint("source:fetch", action)
    }

    /// What composer adds to it.
    pub fn build(&self, skip_assets: bool) -> Step {
        self.maint("source:build", StepAction::SourceBuild { release: self.release.clone(), skip_assets })
    }

    /// One file of it.
    pub fn package(&self) -> Step {
        self.maint("package:build", StepAction::PackageBuild { release: self.release.clone() })
    }

    /// The file, to each web node.
    pub fn send(&self) -> Vec<Step> {
        let send = |to: &NodeName| {
            let action = StepAction::PackageSend { release: self.release.clone(), to: to.clone() };
            self.maint(&format!("package:send:{to}"), action)
        };
        self.places.code.iter().map(send).collect()
    }

    /// The release, beside the one that is served.
    pub fn unpack(&self) -> Vec<Step> {
        self.each_with_code("release:unpack", || StepAction::ReleaseUnpack {
            release: self.release.clone(),
            version: None,
        })
    }

    /// Console commands of the release, once.
    pub fn console(&self, name: &str, commands: ConsoleCommands) -> Result<Step, CallError> {
        let action = StepAction::ConsoleRun { release: self.release.clone(), commands };
        let first = self.first()?;
        let instead = self.places.webs.iter().filter(|node| *node != first).cloned().collect();
        Ok(Step { instead, ..step(name, first, action) })
    }

    /// The caches of the release, before anybody asks for a page of it.
    pub fn warm(&self) -> Vec<Step> {
        self.each_with_code("cache:warm", || StepAction::CacheWarm { release: self.release.clone() })
    }

    /// The caches of the release on every node, once the database has changed.
    pub fn clear(&self) -> Vec<Step> {
        let commands = ConsoleCommands::CacheClear;
        self.each_with_code("cache:clear", || StepAction::ConsoleRun {
            release: self.release.clone(),
            commands: commands.clone(),
        })
    }

    /// The load balancers can be told about the web nodes.
    pub fn check_balancers(&self) -> Vec<Step> {
        let check = || StepAction::BalancerCheck { nodes: self.places.webs.clone() };
        let balancers = self.environment.with_role(NodeRole::Lb);
        balancers.map(|balancer| step("balancer:check", &balancer.name, check())).collect()
    }

    /// No load balancer sends to the node any more, and what it sent before is answered.
    pub fn drain(&self, node: &NodeName) -> Vec<Step> {
        self.at_balancers("balancer:drain", node, || StepAction::BalancerDrain { node: node.clone() })
    }

    /// The load balancers send to the node again.
    pub fn give_back(&self, node: &NodeName) -> Vec<Step> {
        self.at_balancers("balancer:return", node, || StepAction::BalancerReturn {
            node: node.clone(),
            healed: false,
        })
    }

    fn at_balancers(&self, name: &str, node: &NodeName, action: impl Fn() -> StepAction) -> Vec<Step> {
        let balancers = self.environment.with_role(NodeRole::Lb);
        balancers.map(|balancer| step(format!("{name}:{node}"), &balancer.name, action())).collect()
    }

    /// The record of what every node is to serve.
    pub fn record(&self) -> Step {
        let action = StepAction::ReleaseRecord {
            release: self.release.clone(),
            reference: self.reference.clone(),
            by: self.by.to_owned(),
        };
        self.maint("release:record", action)
    }

    /// The word that it is good, with the schema that it works with; groups that follow the checks.
    pub fn accept(&self) -> Vec<Vec<Step>> {
        let schema = Step::new("database:schema", &self.places.db, StepAction::DatabaseSchema {}).soft();
        let accept = StepAction::ReleaseAccept { release: self.release.clone() };
        vec![vec![schema], vec![self.maint("release:accept", accept)]]
    }

    /// Its `mail.whitelist`, before anybody is served by it; nothing where there are no mail nodes.
    pub fn whitelist(&self, instead: &str) -> Option<Vec<Step>> {
        whitelist(self.environment, self.places, self.release, self.before, Some(instead.to_owned()))
    }

    /// The one moment in which nodes differ.
    pub fn switch(&self) -> Vec<Step> {
        let previous = self.before.map(|before| &before.release);
        self.each_with_code("release:switch", || StepAction::ReleaseSwitch {
            release: self.release.clone(),
            previous: previous.cloned(),
        })
    }

    /// Whether each node serves it.
    pub fn check_each(&self) -> Vec<Step> {
        self.each("frontend:check", || StepAction::FrontendCheck { release: self.release.clone() })
    }

    /// Whether the load balancer does.
    pub fn check_front(&self) -> Step {
        self.maint("frontend:check", StepAction::FrontendCheck { release: self.release.clone() })
    }

    /// Lets go what is needed no more. A failure harms nobody: the next time does the rest.
    pub fn tidy(&self, keep: &[ReleaseName]) -> Vec<Step> {
        let mut steps =
            self.each_with_code("releases:tidy", || StepAction::ReleasesTidy { keep: keep.to_vec() });
        steps.push(self.maint("releases:tidy", StepAction::ReleasesTidy { keep: keep.to_vec() }));
        for step in &mut steps {
            step.soft = true;
        }
        steps
    }
}

/// `mail.whitelist` of a release, before anybody is served by it; nothing where there are no mail nodes. `instead` is a hint:
/// what may be typed while a mail node that is away must learn that mail is to reach fewer.
pub fn whitelist(
    environment: &Environment,
    places: &Places,
    release: &ReleaseName,
    before: Option<&CodeVersion>,
    instead: Option<String>,
) -> Option<Vec<Step>> {
    environment.with_role(NodeRole::Mail).next()?;
    let action = StepAction::MailWhitelist {
        release: release.clone(),
        before: before.map(|before| before.release.clone()),
        webs: places.webs.clone(),
        instead,
    };
    Some(vec![step("mail:whitelist", &places.maint, action)])
}

/// Refuses, before anything begins, where [`whitelist`] would: of a release that lies on the web nodes already. Of one that
/// comes yet nobody can say whom it lets mail reach.
pub async fn can_be_told(context: &Context, plan: OperationPlan) -> Result<OperationPlan, CallError> {
    for step in plan.groups.iter().flatten() {
        actions::can_be_told(&context.daemon.nodes, &context.config().environment, &step.action).await?;
    }
    Ok(plan)
}

/// Every web node must have answered, since every one is going to serve what comes.
pub fn all_are_there(
    webs: &[(NodeName, Result<node::StatusAnswer, CallError>)],
    what_for: &str,
) -> Result<(), CallError> {
    for (name, answer) in webs {
        if let Err(error) = answer {
            return Err(error
                .clone()
                .context(format!("{name} must be there to be {what_for}"))
                .hint("see what is wrong: orocloud-cli status"));
        }
    }
    Ok(())
}

/// Whether the maintenance page is up on a web node, whoever put it there: then the load balancer shows no release.
pub fn page_is_up(webs: &Answers) -> bool {
    webs.iter().any(|(_, answer)| answer.as_ref().is_ok_and(|answer| answer.maintenance == Some(true)))
}

/// The release that was served when this was planned.
pub fn release_before(plan: &OperationPlan) -> Option<ReleaseName> {
    plan.groups.iter().flatten().find_map(|step| match &step.action {
        StepAction::ReleaseSwitch { previous, .. } => previous.clone(),
        _ => None,
    })
}
