//! `deploy`: the first installation.

use jiff::Timestamp;
use orocloud_protocol::backup::{CodeVersion, RecoveryPoint};
use orocloud_protocol::deploy::{Deploy, DeployAnswer, DeployParams};
use orocloud_protocol::node::{self, ConsoleCommands, StepAction};
use orocloud_protocol::{CallError, NodeName, OperationOptions, PointName, ReleaseName};

use crate::calls::backup::facts::Places;
use crate::calls::backup::point::{PointOrder, step};
use crate::calls::code::{self, CodeOrder};
use crate::calls::status::ask_all;
use crate::calls::{Context, Done, OperationCall, quoted, service};
use crate::environment::Environment;
use crate::operations::plan::{OperationPlan, Outputs, output};
use crate::points::Points;
use crate::releases;
use crate::server::DaemonRef;

/// The command as a person would type it, without the password.
pub fn command(params: &DeployParams) -> String {
    let options = [
        ("application-url", &params.application_url),
        ("user-name", &params.user_name),
        ("user-email", &params.user_email),
    ];
    let mut command = format!("deploy --reference={}", params.reference);
    for (name, value) in options {
        if let Some(value) = value {
            command += &format!(" --{name}={}", quoted(value));
        }
    }
    command
}

/// Refuses where an application is, by the record or by what the nodes serve. Every web node must have answered,
/// since every one is going to serve.
pub fn refuse_when_deployed(
    params: &DeployParams,
    recorded: Option<&CodeVersion>,
    webs: &[(NodeName, Result<node::StatusAnswer, CallError>)],
) -> Result<(), CallError> {
    let upgrade = format!("orocloud-cli upgrade --reference={}", params.reference);
    if let Some(CodeVersion { release, reference, .. }) = recorded {
        return Err(CallError::refused(format!("{reference} is deployed already, as release {release}"))
            .hint(upgrade));
    }
    code::all_are_there(webs, "deployed to")?;
    for (name, answer) in webs {
        if let Ok(node::StatusAnswer { release: Some(release), .. }) = answer {
            return Err(CallError::refused(format!("{name} serves release {release} already")).hint(upgrade));
        }
    }
    Ok(())
}

/// The name of a release that is made now.
pub fn release_name(now: Timestamp) -> Result<ReleaseName, CallError> {
    now.strftime("%Y%m%d%H%M%S")
        .to_string()
        .parse()
        .map_err(|error| CallError::internal(format!("no name for the release: {error}")))
}

/// What was deployed, from what the steps answered.
pub fn answer(environment: &Environment, outputs: &Outputs) -> Result<DeployAnswer, CallError> {
    let version: CodeVersion = output(outputs, "release:record")?;
    let point: RecoveryPoint = output(outputs, "backup:publish")?;
    Ok(DeployAnswer {
        release: version.release,
        reference: version.reference,
        commit: version.commit,
        url: environment.url.clone(),
        recovery_point: Some(point.name),
    })
}

/// The steps. Up to the switch nothing of it can be seen by a visitor, and everything can be taken back.
pub fn plan(
    environment: &Environment,
    nodes: &Places,
    params: &DeployParams,
    release: &ReleaseName,
    point: &PointName,
    by: &str,
) -> Result<OperationPlan, CallError> {
    let reference = &params.reference;
    let order = CodeOrder { environment, places: nodes, release, reference, before: None, by };
    let application_url = params.application_url.clone().unwrap_or_else(|| environment.url.clone());
    let commands = ConsoleCommands::Install {
        application_url: application_url.clone(),
        user_name: params.user_name.clone(),
        user_email: params.user_email.clone(),
        user_password: params.user_password.clone(),
    };
    // A database that is not empty is found while composer works, not after it.
    let prepare = step("database:prepare", &nodes.db, StepAction::DatabasePrepare { extensions: Vec::new() });
    let mut groups = vec![
        vec![order.fetch()],
        vec![order.build(false), prepare],
        vec![order.package()],
        order.send(),
        order.unpack(),
    ];
    // Its commands may send mail already.
    groups.extend(
        order.whitelist("or deploy a version without mail.whitelist: orocloud-cli deploy --reference=…"),
    );
    groups.push(vec![order.console("application:install", commands)?]);
    groups.push(order.warm());
    groups.push(vec![order.record()]);
    let point_of_no_return = groups.len();
    groups.push(order.switch());
    groups.push(order.check_each());
    groups.push(vec![order.check_front()]);
    groups.extend(service::first_start(environment));
    let first_point = PointOrder {
        topic: "backup",
        name: point.clone(),
        label: None,
        reason: "deploy",
        keep_until: None,
        kind: "full",
        media: true,
        forget: Vec::new(),
    };
    groups.extend(order.accept());
    groups.extend(first_point.groups(nodes));
    groups.push(order.tidy(std::slice::from_ref(release)));
    let web: Vec<&str> = nodes.webs.iter().map(NodeName::as_str).collect();
    let summary = vec![
        format!("{} of {}", params.reference, environment.repository.url),
        format!("becomes release {release} on {}", web.join(", ")),
        format!("and is installed as {application_url}"),
    ];
    Ok(OperationPlan::losing_nothing(groups, point_of_no_return, summary))
}

impl OperationCall for Deploy {
    fn options(params: &DeployParams) -> &OperationOptions {
        &params.options
    }

    fn command(params: &DeployParams) -> String {
        command(params)
    }

    async fn plan(context: &Context, params: &DeployParams) -> Result<OperationPlan, CallError> {
        let config = context.config();
        let places = Places::of(&config.environment, &config.node)?.without_withheld(&config.state)?;
        let webs = ask_all(context, &places.webs, false).await;
        refuse_when_deployed(params, releases::recorded(&config.state)?.as_ref(), &webs)?;
        let now = Timestamp::now();
        let point = Points::new(&config.state).free_name(now)?;
        let release = release_name(now)?;
        plan(&config.environment, &places, params, &release, &point, &context.caller.key_id)
    }

    fn answer(daemon: &DaemonRef, done: &Done<'_, DeployParams>) -> Result<DeployAnswer, CallError> {
        answer(&daemon.node.config.environment, done.outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> DeployParams {
        serde_json::from_value(serde_json::json!({
            "reference": "1.0.0", "user_name": "it's me", "application_url": "https://shop.example/?a=b",
            "user_password": "hunter2"
        }))
        .unwrap()
    }

    #[test]
    fn the_command_is_shown_as_it_was_typed() {
        assert_eq!(
            command(&params()),
            r"deploy --reference=1.0.0 --application-url='https://shop.example/?a=b' --user-name='it'\''s me'"
        );
    }

    #[test]
    fn an_application_that_is_there_is_not_deployed_over() {
        let web1: NodeName = "web1".parse().unwrap();
        let status = |release: Option<&str>| node::StatusAnswer {
            agent_version: "0".into(),
            rows: Vec::new(),
            release: release.map(|release| release.parse().unwrap()),
            releases: Vec::new(),
            maintenance: None,
            services: Vec::new(),
            software: Vec::new(),
        };
        let version = CodeVersion {
            release: "20261124103200".parse().unwrap(),
            reference: "0.9".parse().unwrap(),
            commit: String::new(),
            package: "a".repeat(64).parse().unwrap(),
        };
        let with = |recorded: Option<&CodeVersion>, answer| {
            refuse_when_deployed(&params(), recorded, &[(web1.clone(), answer)])
        };
        with(None, Ok(status(None))).unwrap();
        let error = with(Some(&version), Ok(status(None))).unwrap_err();
        assert_eq!(error.message, "0.9 is deployed already, as release 20261124103200");
        assert_eq!(error.hints, ["orocloud-cli upgrade --reference=1.0.0"]);
        let error = with(None, Ok(status(Some("20261124103200")))).unwrap_err();
        assert_eq!(error.message, "web1 serves release 20261124103200 already");
        let error = with(None, Err(CallError::failed("no route"))).unwrap_err();
        assert_eq!(error.message, "web1 must be there to be deployed to");
    }

    #[test]
    fn nothing_can_be_seen_before_the_point_of_no_return() {
        let environment: Environment = toml::from_str(
            "format = 1\nname = \"acme-prod1\"\nproject = \"acme\"\ntype = \"prod\"\nurl = \"http://shop/\"\nkeeper = \"postgresql\"\n\
             [[node]]\nname = \"web1\"\nroles = [\"web\"]\nzone = \"a\"\naddress = \"::1\"\n\
             [[node]]\nname = \"web2\"\nroles = [\"web\"]\nzone = \"b\"\naddress = \"::1\"\n\
             [[node]]\nname = \"db1\"\nroles = [\"db\"]\nzone = \"a\"\naddress = \"::1\"\n\
             [[node]]\nname = \"mail1\"\nroles = [\"mail\"]\nzone = \"a\"\naddress = \"::1\"\n\
             [application]\ndocument_root = \"public\"\n[repository]\nurl = \"ssh://git@x/shop.git\"\n[backup]\n",
        )
        .unwrap();
        let maint = "maint1".parse().unwrap();
        let places = Places::of(&environment, &maint).unwrap();
        let release = release_name("2026-11-24T10:32:00Z".parse().unwrap()).unwrap();
        let plan =
            plan(&environment, &places, &params(), &release, &"2026-11-24-1032".parse().unwrap(), "dora")
                .unwrap();
        let shown: Vec<String> = plan
            .planned_steps()
            .iter()
            .map(|step| {
                format!("{}{} {}", if step.point_of_no_return { "! " } else { "" }, step.step, step.node)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "source:fetch maint1",
                "source:build maint1",
                "database:prepare db1",
                "package:build maint1",
                "package:send:web1 maint1",
                "package:send:web2 maint1",
                "release:unpack web1",
                "release:unpack web2",
                "mail:whitelist maint1",
                "application:install web1",
                "cache:warm web1",
                "cache:warm web2",
                "release:record maint1",
                "! release:switch web1",
                "! release:switch web2",
                "frontend:check web1",
                "frontend:check web2",
                "frontend:check maint1",
                "database:schema db1",
                "release:accept maint1",
                "backup:database db1",
                "backup:media maint1",
                "backup:publish maint1",
                "releases:tidy web1",
                "releases:tidy web2",
                "releases:tidy maint1",
            ]
        );
        assert!(!serde_json::to_string(&plan.summary).unwrap().contains("hunter2"));
    }
}
