//! The keys of `orocloud.yaml` and their types. Sections that are not used yet are accepted as they are.

use std::collections::BTreeMap;

use orocloud_protocol::MailDomain;

use super::command::{self, ComposerCommand};
use super::reader::{Faults, Section, text};
use super::yaml::{Fault, Key, Node, Value};
use crate::mail_settings;

/// `orocloud_options`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppConfig {
    /// How the application is built and installed.
    pub deployment: Deployment,
    /// What belongs to the application itself.
    pub application: Application,
    /// Whom mail may reach.
    pub mail: Mail,
    /// Tasks by their names.
    pub schedule: BTreeMap<String, Task>,
}

/// `mail`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mail {
    /// The only domains of recipients that are reached, as DNS has them; `None`: it says nothing about it.
    pub whitelist: Option<Vec<MailDomain>>,
}

/// `deployment`
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Argument vectors of console commands that install; `None`: `oro:install`.
    pub install_commands: Option<Vec<Vec<String>>>,
    /// Console commands of an upgrade; `None`: `oro:platform:update`.
    pub upgrade_commands: Option<Vec<Vec<String>>>,
    /// After the dry run of the update, before the real one.
    pub pre_upgrade_commands: Vec<Vec<String>>,
    /// Before the maintenance mode is put on.
    pub pre_maintenance_commands: Vec<Vec<String>>,
    /// After the maintenance mode is off.
    pub post_maintenance_commands: Vec<Vec<String>>,
    /// After the update and the start of the services.
    pub post_upgrade_commands: Vec<Vec<String>>,
    /// Whether submodules are fetched.
    pub git_clone_recursive: bool,
    /// How composer is called.
    pub composer_command: ComposerCommand,
    /// Shell commands that run in the checkout, as `build`.
    pub after_composer_install_commands: Vec<String>,
    /// Extensions of PostgreSQL.
    pub db_extensions: Vec<String>,
    /// Before a backup.
    pub before_backup_create_commands: Vec<String>,
    /// After a backup.
    pub after_backup_create_commands: Vec<String>,
    /// Rules of sanitized backups.
    pub sanitize: Sanitize,
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            install_commands: None,
            upgrade_commands: None,
            pre_upgrade_commands: Vec::new(),
            pre_maintenance_commands: Vec::new(),
            post_maintenance_commands: Vec::new(),
            post_upgrade_commands: Vec::new(),
            git_clone_recursive: true,
            composer_command: ComposerCommand::default(),
            after_composer_install_commands: Vec::new(),
            db_extensions: Vec::new(),
            before_backup_create_commands: Vec::new(),
            after_backup_create_commands: Vec::new(),
            sanitize: Sanitize::default(),
        }
    }
}

/// `deployment.sanitize`; what each rule says is read by sanitized backups.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "documented by OroCloud under these names")]
pub struct Sanitize {
    pub rawsql_add_rules: Vec<String>,
    pub rawsql_delete_rules: Vec<String>,
    pub rawsql_override_rules: Option<Vec<String>>,
    pub update_add_rules: Vec<String>,
    pub update_delete_rules: Vec<String>,
    pub update_override_rules: Option<Vec<String>>,
    pub custom_email_domain: Option<String>,
}

/// `application`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application {
    /// Path in the repository.
    pub maintenance_page: Option<String>,
    /// By HTTP status.
    pub error_pages: BTreeMap<u16, ErrorPage>,
    /// Folder in the repository.
    pub error_pages_path: Option<String>,
    /// Path of the back office.
    pub web_backend_prefix: Option<String>,
    /// Consumers in debug mode.
    pub consumers_debug_mode: bool,
    /// Variables of the application.
    pub env_vars: BTreeMap<String, String>,
}

/// Path of an error page in the repository.
pub type ErrorPage = String;

/// `schedule.NAME`
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// A shell command.
    pub command: String,
    /// The five fields of crontab(5): minute, hour, day of the month, month, day of the week.
    pub when: [String; 5],
}

/// Reads the whole file. What must be there is only missed when `whole`: a layer alone may lack it.
pub fn read(node: &Node, whole: bool, faults: &mut Faults) -> AppConfig {
    let mut root = Section::of("", node, faults);
    let config = root.section("orocloud_options", faults, |options, faults| {
        for later in ["webserver", "domains", "elasticsearch"] {
            options.get(later);
        }
        AppConfig {
            deployment: options.section("deployment", faults, deployment).unwrap_or_default(),
            application: options.section("application", faults, application).unwrap_or_default(),
            mail: options.section("mail", faults, mail).unwrap_or_default(),
            schedule: options
                .named("schedule", faults, |path, key, node, faults| task(path, key, node, whole, faults)),
        }
    });
    root.end(faults);
    config.unwrap_or_default()
}

fn mail(section: &mut Section<'_>, faults: &mut Faults) -> Mail {
    let whitelist = section.list("whitelist", faults, |text| {
        let domain: Option<MailDomain> = text.parse().ok();
        domain
            .and_then(|domain| mail_settings::as_in_dns(&domain).ok())
            .ok_or_else(|| format!("must be a domain, like example.com, this is {text:?}"))
    });
    Mail {
        whitelist: whitelist.map(|mut domains| {
            domains.sort();
            domains.dedup();
            domains
        }),
    }
}

fn deployment(section: &mut Section<'_>, faults: &mut Faults) -> Deployment {
    let mut console = |key, faults: &mut Faults| section.list(key, faults, command::console);
    let install_commands = console("install_commands", faults);
    let upgrade_commands = console("upgrade_commands", faults);
    let pre_upgrade_commands = console("pre_upgrade_commands", faults).unwrap_or_default();
    let pre_maintenance_commands = console("pre_maintenance_commands", faults).unwrap_or_default();
    let post_maintenance_commands = console("post_maintenance_commands", faults).unwrap_or_default();
    let post_upgrade_commands = console("post_upgrade_commands", faults).unwrap_or_default();
    let mut texts = |key, faults: &mut Faults| section.list(key, faults, filled).unwrap_or_default();
    let after_composer_install_commands = texts("after_composer_install_commands", faults);
    let before_backup_create_commands = texts("before_backup_create_commands", faults);
    let after_backup_create_commands = texts("after_backup_create_commands", faults);
    Deployment {
        install_commands,
        upgrade_commands,
        pre_upgrade_commands,
        pre_maintenance_commands,
        post_maintenance_commands,
        post_upgrade_commands,
        git_clone_recursive: section.flag("git_clone_recursive", faults).unwrap_or(true),
        composer_command: section.checked("composer_command", faults, command::composer).unwrap_or_default(),
        after_composer_install_commands,
        db_extensions: section.list("db_extensions", faults, extension).unwrap_or_default(),
        before_backup_create_commands,
        after_backup_create_commands,
        sanitize: section.section("sanitize", faults, sanitize).unwrap_or_default(),
    }
}

fn sanitize(section: &mut Section<'_>, faults: &mut Faults) -> Sanitize {
    let mut rules = |key, faults: &mut Faults| section.list(key, faults, filled);
    Sanitize {
        rawsql_add_rules: rules("rawsql_add_rules", faults).unwrap_or_default(),
        rawsql_delete_rules: rules("rawsql_delete_rules", faults).unwrap_or_default(),
        rawsql_override_rules: rules("rawsql_override_rules", faults),
        update_add_rules: rules("update_add_rules", faults).unwrap_or_default(),
        update_delete_rules: rules("update_delete_rules", faults).unwrap_or_default(),
        update_override_rules: rules("update_override_rules", faults),
        custom_email_domain: section.text("custom_email_domain", faults),
    }
}

fn application(section: &mut Section<'_>, faults: &mut Faults) -> Application {
    let pages = section.named("error_pages", faults, |path, key, node, faults| {
        if !["403", "451", "501", "502"].contains(&key.name.as_str()) {
            let text = format!("unknown key {path}: known here: 403, 451, 501, 502");
            faults.0.push(Fault { place: key.place.clone(), text });
            return None;
        }
        let page = text(path, node, faults)?;
        relative(&page)
            .map_err(|wrong| {
                faults.0.push(Fault { place: node.place.clone(), text: format!("{path} {wrong}") })
            })
            .ok()
    });
    Application {
        maintenance_page: section.checked("maintenance_page", faults, relative),
        error_pages: pages.into_iter().filter_map(|(code, page)| Some((code.parse().ok()?, page))).collect(),
        error_pages_path: section.checked("error_pages_path", faults, relative),
        web_backend_prefix: section.checked("web_backend_prefix", faults, backend_prefix),
        consumers_debug_mode: section.flag("consumers_debug_mode", faults).unwrap_or(false),
        env_vars: section.named("env_vars", faults, variable),
    }
}

fn variable(path: &str, key: &Key, node: &Node, faults: &mut Faults) -> Option<String> {
    let mut wrong = |place: &super::Place, text: String| {
        faults.0.push(Fault { place: place.clone(), text });
        None
    };
    if !command::is_variable(&key.name) {
        return wrong(&key.place, format!("{path}: a variable is named by letters, digits and _"));
    }
    match &node.value {
        value if value.is_null() => wrong(&node.place, format!("{path} is empty: leave the variable out")),
        Value::Scalar { text, quoted: true } if text.is_empty() => {
            wrong(&node.place, format!("{path} is empty: leave the variable out"))
        }
        Value::Scalar { text, .. } if text.contains('\0') => {
            wrong(&node.place, format!("{path} holds a NUL character"))
        }
        Value::Scalar { text, quoted: false } if !is_string(text) => {
            wrong(&node.place, format!("{path} must be a string: write it in single quotes, '{text}'"))
        }
        // What it holds are credentials: the fault must not show them.
        Value::Scalar { text, .. } if is_composer_auth(&key.name) && !is_json_object(text) => {
            wrong(&node.place, format!("{path} must be a JSON object, as in Composer's auth.json"))
        }
        Value::Scalar { text, .. } => Some(text.clone()),
        value => wrong(&node.place, format!("{path} must be a string, this is {}", value.kind())),
    }
}

/// `COMPOSER_AUTH`, `COMPOSER_AUTH1` to `COMPOSER_AUTH5`.
fn is_composer_auth(name: &str) -> bool {
    name.strip_prefix("COMPOSER_AUTH").is_some_and(|rest| ["", "1", "2", "3", "4", "5"].contains(&rest))
}

fn is_json_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}

/// Whether YAML takes a value without quotes for a string.
fn is_string(plain: &str) -> bool {
    plain.parse::<f64>().is_err()
        && !["true", "false", "yes", "no", "on", "off"].contains(&plain.to_ascii_lowercase().as_str())
}

fn task(path: &str, key: &Key, node: &Node, whole: bool, faults: &mut Faults) -> Option<Task> {
    let mut section = Section::of(path, node, faults);
    let command = section.text("command", faults);
    let mut field = |key, low, high, names: &[&str], faults: &mut Faults| {
        section.checked(key, faults, |text| cron(text, low, high, names)).unwrap_or_else(|| "*".to_owned())
    };
    let when = [
        field("minute", 0, 59, &[], faults),
        field("hour", 0, 23, &[], faults),
        field("monthday", 1, 31, &[], faults),
        field("month", 1, 12, &MONTHS, faults),
        field("weekday", 0, 7, &WEEKDAYS, faults),
    ];
    if command.is_none() && whole && section.get("command").is_none() {
        let text = format!("{path} has no command");
        faults.0.push(Fault { place: key.place.clone(), text });
    }
    section.end(faults);
    Some(Task { command: command?, when })
}

/// Names that crontab(5) takes for months and days of the week; their places are their numbers.
const MONTHS: [&str; 13] =
    ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One field of crontab(5), as numbers: `*`, `5`, `1-3`, `*/10`, and lists of them; in some also names.
fn cron(text: &str, low: u8, high: u8, names: &[&str]) -> Result<String, String> {
    let number = |text: &str| {
        let named = names.iter().position(|name| !name.is_empty() && name.eq_ignore_ascii_case(text));
        let digits =
            || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u8>().ok()).flatten();
        named
            .and_then(|place| u8::try_from(place).ok())
            .or_else(digits)
            .filter(|number| (low..=high).contains(number))
    };
    let range = |text: &str| match text.split_once('-') {
        _ if text == "*" => Some("*".to_owned()),
        None => number(text).map(|number| number.to_string()),
        Some((from, to)) => match (number(from)?, number(to)?) {
            (from, to) if from <= to => Some(format!("{from}-{to}")),
            _ => None,
        },
    };
    let part = |part: &str| match part.split_once('/') {
        None => range(part),
        Some((part, step)) => {
            let step = step.parse::<u8>().ok().filter(|step| *step > 0)?;
            range(part).map(|range| format!("{range}/{step}"))
        }
    };
    text.split(',')
        .map(part)
        .collect::<Option<Vec<_>>>()
        .map(|parts| parts.join(","))
        .ok_or_else(|| format!("must be *, {low} to {high}, a range, a list, or */x, this is {text:?}"))
}

fn filled(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn extension(text: &str) -> Result<String, String> {
    let good = !text.is_empty()
        && text.len() < 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && !text.starts_with('-');
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("must name an extension of PostgreSQL, like pgcrypto, this is {text:?}"))
    }
}

fn relative(text: &str) -> Result<String, String> {
    use std::path::{Component, Path};
    let good = !text.is_empty()
        && Path::new(text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("must be a path inside the repository, this is {text:?}"))
    }
}

fn backend_prefix(text: &str) -> Result<String, String> {
    // It becomes part of the web server's configuration.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    let good =
        text.starts_with('/') && !text.ends_with('/') && !text.contains("//") && text.chars().all(plain);
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "must begin with / and not end with /, of letters, digits, -, _, . and ~, this is {text:?}"
        ))
    }
}
