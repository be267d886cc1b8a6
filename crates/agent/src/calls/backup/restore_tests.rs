use orocloud_protocol::backup::{DatabaseBackup, PastRestore, RecoveryPoint};
use orocloud_protocol::node::{ArchivedRun, DatabaseInfoAnswer, KeptFolder, Swapped};
use orocloud_protocol::{ErrorKind, NodeRole, OperationOptions};

use super::*;
use crate::calls::backup::facts::{Known, Places};
use crate::environment::Environment;
use crate::points::PointRecord;

fn at(time: &str) -> Timestamp {
    format!("2026-11-24T{time}Z").parse().unwrap()
}

fn environment() -> Environment {
    toml::from_str(
        r#"
        format = 1
        name = "acme-prod1"
        project = "acme"
        type = "prod"
        url = "http://127.0.0.1/"
        keeper = "postgresql"
        application = { document_root = "public" }
        repository = { url = "/none" }
        backup = { schedule = "off" }
        [[node]]
        name = "maint1"
        roles = ["maint"]
        zone = "a"
        address = "127.0.0.1"
        [[node]]
        name = "db1"
        roles = ["db"]
        zone = "a"
        address = "127.0.0.1"
        [[node]]
        name = "web1"
        roles = ["web"]
        zone = "a"
        address = "127.0.0.1"
        [[node]]
        name = "web2"
        roles = ["web"]
        zone = "b"
        address = "127.0.0.1"
        "#,
    )
    .unwrap()
}

fn code(reference: &str, release: &str) -> CodeVersion {
    CodeVersion {
        release: release.parse().unwrap(),
        reference: reference.parse().unwrap(),
        commit: "c".repeat(40),
        package: "a".repeat(64).parse().unwrap(),
    }
}

fn backup() -> DatabaseBackup {
    DatabaseBackup {
        set: "20261124-095950F".into(),
        kind: "full".into(),
        timeline: 1,
        stop_lsn: "0/5000000".into(),
        started_at: at("09:59:50"),
        stopped_at: at("10:00:00"),
        size: 1_000_000,
        stored: 1,
    }
}

/// One backup with its recovery point at 10:00, of version 1.0.0; 1.1.0 runs; it is noon.
fn facts(environment: &Environment) -> Facts<'_> {
    let point = RecoveryPoint {
        name: "2026-11-24-1000".parse().unwrap(),
        label: None,
        at: at("10:00:00"),
        reason: "command".into(),
        database: backup(),
        media: Some(orocloud_protocol::backup::MediaSnapshot {
            snapshot: "641c0f53".into(),
            files: 1,
            size: 1,
        }),
        code: Some(code("1.0.0", "20261124090000")),
        expires_at: None,
        verified_at: None,
    };
    Facts {
        environment,
        places: Places::of(environment, &"maint1".parse().unwrap()).unwrap(),
        now: at("12:00:00"),
        known: Known {
            points: vec![PointRecord::new(point, None, CallId::from_parts(1, 1))],
            restores: vec![],
            let_go: vec![],
            code: Some(code("1.1.0", "20261124110000")),
        },
        info: DatabaseInfoAnswer {
            running: true,
            timeline: Some(1),
            last_archived: None,
            last_archived_at: Some(at("11:59:00")),
            last_commit_at: None,
            tables: 1,
            backups: vec![backup()],
            histories: vec![],
            archived: vec![ArchivedRun {
                timeline: 1,
                first: "000000010000000000000001".into(),
                last: "000000010000000000000009".into(),
                last_at: Some(at("11:59:00")),
                last_commit_at: None,
            }],
            obstacles: vec![],
            free_bytes: 10_000_000_000,
            data_bytes: 100_000_000,
            kept: vec![],
            copies: vec![],
        },
    }
}

fn unpacked() -> Unpacked {
    let releases = vec!["20261124090000".parse().unwrap(), "20261124110000".parse().unwrap()];
    Unpacked(vec![("web1".parse().unwrap(), releases.clone()), ("web2".parse().unwrap(), releases)])
}

fn params(target: RestoreTarget) -> RestoreParams {
    RestoreParams {
        target,
        timeline: None,
        scope: RestoreScope::default(),
        media: false,
        preview: false,
        keep_old: None,
        options: OperationOptions::default(),
    }
}

fn planned(params: &RestoreParams, facts: &Facts<'_>) -> Result<OperationPlan, CallError> {
    let names =
        Names { before: "2026-11-24-1200".parse().unwrap(), after: "2026-11-24-120001".parse().unwrap() };
    plan(params, facts, &unpacked(), &names)
}

/// Groups as `name@nodes name@node`, with a bar before the point of no return.
fn drawn(plan: &OperationPlan) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, group) in plan.groups.iter().enumerate() {
        let mut names: Vec<String> =
            group.iter().map(|step| format!("{}@{}", step.name, step.node)).collect();
        if index == plan.point_of_no_return {
            names.insert(0, "|".to_owned());
        }
        lines.push(names.join(" "));
    }
    lines
}

#[test]
fn a_restore_touches_nothing_live_before_its_point_of_no_return() {
    let environment = environment();
    let facts = facts(&environment);
    let plan = planned(&params(RestoreTarget::Time(at("10:30:00"))), &facts).unwrap();
    assert_eq!(
        drawn(&plan),
        [
            "database:marker@db1",
            "safety:database@db1 database:restore@db1",
            "safety:publish@maint1 database:replay@db1",
            "database:look@db1",
            "database:accept@db1",
            "database:archive@db1",
            "restore:begin@maint1",
            "maintenance:on@maint1",
            "maintenance:on@web1 maintenance:on@web2",
            "| database:swap@db1",
            "release:switch@web1 release:switch@web2",
            "restore:record@maint1",
            "cache:clear@web1 cache:clear@web2",
            "maintenance:off@maint1",
            "maintenance:off@web1 maintenance:off@web2",
            "backup:database@db1 backup:media@maint1",
            "backup:publish@maint1",
            "backup:expire@db1 database:tidy@db1",
        ]
    );
    assert!(plan.destructive);
    assert!(plan.loses[0].contains("since 2026-11-24 10:30:00 UTC (1 h 30 min)"), "{:?}", plan.loses);
    assert!(plan.summary[1].contains("1.0.0 (20261124090000)"), "{:?}", plan.summary);
}

#[test]
fn the_whitelist_of_the_code_that_comes_back_holds_before_it_is_served() {
    let mut environment = environment();
    environment.nodes[0].roles.push(NodeRole::Mail);
    let facts = facts(&environment);
    let steps = |scope| {
        let target = RestoreTarget::Point("2026-11-24-1000".parse().unwrap());
        drawn(&planned(&RestoreParams { scope, ..params(target) }, &facts).unwrap()).join("\n")
    };
    let code_only = steps(RestoreScope::Code);
    assert!(code_only.contains("mail:whitelist@maint1\nrestore:begin@maint1"), "{code_only}");
    assert!(!steps(RestoreScope::Database).contains("mail:whitelist"));
}

#[test]
fn parts_that_were_not_asked_for_stay() {
    let environment = environment();
    let facts = facts(&environment);
    let target = RestoreTarget::Point("2026-11-24-1000".parse().unwrap());
    let only = |scope| RestoreParams { scope, ..params(target.clone()) };
    let steps = |params: &RestoreParams| drawn(&planned(params, &facts).unwrap()).join("\n");
    assert!(!steps(&only(RestoreScope::Database)).contains("release:switch"));
    let code_only = steps(&only(RestoreScope::Code));
    assert!(
        code_only.contains("| release:switch@web1") && !code_only.contains("database:swap"),
        "{code_only}"
    );
    let media = steps(&RestoreParams { media: true, ..params(target.clone()) });
    for step in ["safety:media", "media:restore@maint1", "media:swap@maint1\n| database:swap"] {
        assert!(media.contains(step), "{step} in {media}");
    }
    let preview = planned(&RestoreParams { preview: true, ..params(target.clone()) }, &facts).unwrap();
    assert_eq!(drawn(&preview).last().unwrap(), "database:rest@db1");
    assert!(!preview.destructive && preview.loses.is_empty());
    // The restore that follows finds the preview's copy, and a person agrees to the same thing.
    let again = planned(&params(target.clone()), &facts).unwrap();
    assert_eq!(again.digest, planned(&params(target), &facts).unwrap().digest);
}

#[test]
fn with_a_dead_database_there_is_no_safety_point_but_what_it_left_is_kept() {
    let environment = environment();
    let mut facts = facts(&environment);
    facts.info.running = false;
    facts.info.last_commit_at = Some(at("11:58:00"));
    let plan = planned(&params(RestoreTarget::Time(at("10:30:00"))), &facts).unwrap();
    assert!(!drawn(&plan).join("\n").contains("safety:"));
    let error = planned(&params(RestoreTarget::Time(at("11:59:00"))), &facts).unwrap_err();
    assert!(error.hints[0].contains("--to=2026-11-24T11:58:00Z"), "{:?}", error.hints);
}

#[test]
fn an_undo_exchanges_what_is_kept_and_says_what_it_loses() {
    let environment = environment();
    let mut facts = facts(&environment);
    let operation = CallId::from_parts(5, 5);
    let restore = PastRestore {
        operation,
        at: at("11:00:00"),
        to: Some(at("10:30:00")),
        from_timeline: 1,
        to_timeline: 2,
        undo_until: Some(at("23:00:00")),
    };
    let now = facts.known.code.clone();
    let before = Some(code("1.0.0", "20261124090000"));
    facts.known.restores.push(RestoreRecord::new(restore, RestoreScope::default(), false, before, now));
    let undo = params(RestoreTarget::Undo(operation));
    let error = planned(&undo, &facts).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    let swapped = Swapped { from_timeline: 1, to_timeline: 2, at: at("11:00:00") };
    facts.info.kept = vec![KeptFolder { operation, swapped }];
    let plan = planned(&undo, &facts).unwrap();
    let steps = drawn(&plan);
    assert_eq!(steps[0], "safety:database@db1");
    assert!(steps.contains(&"| database:swap@db1".to_owned()), "{steps:?}");
    assert!(steps.contains(&"release:switch@web1 release:switch@web2".to_owned()), "{steps:?}");
    assert!(!steps.join(" ").contains("database:accept"));
    assert!(plan.loses[0].contains("since 2026-11-24 11:00:00 UTC (1 h 0 min)"), "{:?}", plan.loses);
    let unknown = params(RestoreTarget::Undo(CallId::from_parts(6, 6)));
    assert_eq!(planned(&unknown, &facts).unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn what_cannot_work_is_refused_before_anything_stops() {
    let environment = environment();
    let mut facts = facts(&environment);
    let target = params(RestoreTarget::Time(at("10:30:00")));
    let names =
        Names { before: "2026-11-24-1200".parse().unwrap(), after: "2026-11-24-120001".parse().unwrap() };
    let gone = Unpacked(vec![("web1".parse().unwrap(), vec![]), ("web2".parse().unwrap(), vec![])]);
    let error = plan(&target, &facts, &gone, &names).unwrap_err();
    assert!(error.message.contains("is not on web1"), "{error}");
    facts.info.free_bytes = 1_000_000;
    assert!(planned(&target, &facts).unwrap_err().message.contains("needs 368 MB"));
    let ready = decide(&target, &facts).unwrap().database.unwrap().name;
    facts.info.copies = vec![ready];
    planned(&target, &facts).unwrap();
    facts.info.obstacles = vec!["tablespace x lies outside".into()];
    assert!(planned(&target, &facts).unwrap_err().causes[0].contains("tablespace"));
    let point = params(RestoreTarget::Point("2026-11-24-1100".parse().unwrap()));
    assert_eq!(planned(&point, &facts).unwrap_err().kind, ErrorKind::NotFound);
}
