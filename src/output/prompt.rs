//! Questions. Nobody is asked without a terminal, or with `-n`; a destructive command then fails.

use std::path::Path;

use dialoguer::{Confirm, Input, Password};
use orocloud_protocol::{CallError, Confirmation, EnvironmentName, Plan};

use super::{Style, Ui, escape};

/// The answers that options give in advance.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// `--force`: yes.
    pub force: bool,
    /// `--confirm=NAME`: the environment's name.
    pub confirm: Option<String>,
}

fn not_given(why: &str) -> CallError {
    CallError::refused(format!("nothing was done: {why}"))
}

impl Ui {
    /// A question with a line for an answer; `None` when it was interrupted or nobody can be asked.
    pub fn ask(&mut self, question: &str) -> Option<String> {
        if let Some(answers) = &mut self.answers {
            return answers.pop_front();
        }
        if !self.can_ask() {
            return None;
        }
        Input::<String>::new().with_prompt(question).allow_empty(true).interact_text().ok()
    }

    /// Asks a person who can be asked about something that destroys nothing; without one it goes ahead.
    pub fn agree(&mut self, question: &str, force: bool) -> Result<(), CallError> {
        if force || !self.can_ask() || self.confirm(question) {
            return Ok(());
        }
        Err(not_given("the answer was no"))
    }

    fn confirm(&mut self, question: &str) -> bool {
        if let Some(answers) = &mut self.answers {
            return answers.pop_front().is_some_and(|answer| answer == "y");
        }
        Confirm::new().with_prompt(question).default(false).interact().unwrap_or(false)
    }

    /// Whether a person agrees; nobody there to be asked does not.
    pub fn agrees(&mut self, question: &str) -> bool {
        (self.answers.is_some() || self.can_ask()) && self.confirm(question)
    }

    /// The passphrase of a key, not shown.
    pub fn passphrase(&mut self, key: &Path, attempt: u32) -> Option<String> {
        if !(self.terminal.stdin && self.terminal.stderr) || self.manner.no_interaction {
            return None;
        }
        let again = if attempt > 1 { " (the last one was wrong)" } else { "" };
        Password::new()
            .with_prompt(format!("Passphrase of {}{again}", key.display()))
            .allow_empty_password(true)
            .interact()
            .ok()
    }

    /// A password, asked twice; `None` when nobody can be asked.
    pub fn new_password(&mut self, what: &str) -> Option<String> {
        if !self.can_ask() {
            return None;
        }
        Password::new().with_prompt(what).with_confirmation("The same again", "They differ.").interact().ok()
    }

    /// Shows what a plan does, and what will be lost.
    pub fn show_plan(&mut self, plan: &Plan) {
        for sentence in &plan.summary {
            self.note(&escape::strip(sentence));
        }
        for loss in &plan.loses {
            let text = format!("  will be lost: {}", escape::strip(loss));
            let text = self.paint_err(Style::Warning, &text);
            self.note(&text);
        }
    }

    /// Asks whether a plan may be carried out, having shown it, and gives what proves the answer to the agent.
    /// `prod` is whether the environment's name must be typed.
    pub fn guard(
        &mut self,
        question: &str,
        plan: &Plan,
        environment: &EnvironmentName,
        prod: bool,
        answers: &Answers,
    ) -> Result<Confirmation, CallError> {
        self.show_plan(plan);
        let mut confirmation = Confirmation { environment: None, digest: plan.digest.clone() };
        if !plan.destructive {
            return Ok(confirmation);
        }
        let can_ask = self.can_ask();
        let command = |rest: &str| format!("repeat the command with {rest}");
        if let Some(name) = &answers.confirm {
            if name != environment.as_str() {
                return Err(not_given(&format!(
                    "--confirm={name} does not name this environment, {environment}"
                ))
                .hint(command(&format!("--confirm={environment}"))));
            }
            confirmation.environment = Some(environment.clone());
        }
        if !answers.force && !can_ask {
            let options =
                if prod { format!("--force --confirm={environment}") } else { "--force".to_owned() };
            return Err(not_given("this destroys something, and nobody is there to be asked")
                .hint(command(&options))
                .hint(command("--dry-run, which only shows what it would do")));
        }
        if prod && confirmation.environment.is_none() {
            if !can_ask {
                return Err(not_given(&format!(
                    "{environment} is of type prod, which --force alone does not open"
                ))
                .hint(command(&format!("--force --confirm={environment}"))));
            }
            let typed =
                self.ask(&format!("{question} Type the environment's name to go on")).unwrap_or_default();
            if typed.trim() != environment.as_str() {
                return Err(not_given("the name was not typed")
                    .hint(command(&format!("--confirm={environment}, or type {environment}"))));
            }
            confirmation.environment = Some(environment.clone());
        } else if !answers.force && !self.confirm(question) {
            return Err(not_given("the answer was no"));
        }
        Ok(confirmation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Manner, Terminal};

    fn plan(destructive: bool) -> Plan {
        Plan {
            steps: Vec::new(),
            summary: vec!["backup 2026-11-24-1025 → database shop on db1".into()],
            loses: vec!["7 orders since 10:25".into()],
            destructive,
            digest: "0".repeat(64).parse().unwrap(),
        }
    }

    #[test]
    fn a_guard_opens_only_to_the_right_answer() {
        let environment: EnvironmentName = "acme-prod1".parse().unwrap();
        let somebody = Terminal { stdin: true, stdout: true, stderr: true, width: None };
        let nobody = Terminal::default();
        let answers =
            |force: bool, confirm: Option<&str>| Answers { force, confirm: confirm.map(str::to_owned) };
        for (what, terminal, no_interaction, prod, answers, typed, expected) in [
            ("yes", somebody, false, false, answers(false, None), vec!["y"], Ok(false)),
            ("no", somebody, false, false, answers(false, None), vec!["n"], Err("answer was no")),
            ("interrupted", somebody, false, false, answers(false, None), vec![], Err("answer was no")),
            ("forced", nobody, false, false, answers(true, None), vec![], Ok(false)),
            ("nobody there", nobody, false, false, answers(false, None), vec!["y"], Err("nobody is there")),
            (
                "-n answers nothing",
                somebody,
                true,
                false,
                answers(false, None),
                vec!["y"],
                Err("nobody is there"),
            ),
            ("typed", somebody, false, true, answers(false, None), vec!["acme-prod1"], Ok(true)),
            ("yes is not the name", somebody, false, true, answers(false, None), vec!["y"], Err("not typed")),
            ("force is not the name", nobody, false, true, answers(true, None), vec![], Err("--force alone")),
            ("both", nobody, false, true, answers(true, Some("acme-prod1")), vec![], Ok(true)),
            (
                "the name alone",
                nobody,
                false,
                true,
                answers(false, Some("acme-prod1")),
                vec![],
                Err("nobody is there"),
            ),
            (
                "another name",
                nobody,
                false,
                true,
                answers(true, Some("acme-stag1")),
                vec![],
                Err("does not name"),
            ),
            (
                "named, then asked",
                somebody,
                false,
                true,
                answers(false, Some("acme-prod1")),
                vec!["y"],
                Ok(true),
            ),
        ] {
            let manner = Manner { no_interaction, colours: Some(false), ..Manner::default() };
            let (mut ui, _, err) = Ui::captured(terminal, manner, &typed);
            let result = ui.guard("Restore?", &plan(true), &environment, prod, &answers);
            match (result, expected) {
                (Ok(confirmation), Ok(named)) => {
                    assert_eq!(confirmation.environment.is_some(), named, "{what}")
                }
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{what}: {error}");
                    assert_eq!(error.kind.exit_code(), 7, "{what}");
                }
                (result, _) => panic!("{what}: {result:?}"),
            }
            assert!(err.text().contains("→ database shop on db1\n  will be lost: 7 orders"), "{what}");
        }
        let (mut ui, _, _) = Ui::captured(nobody, Manner::default(), &[]);
        ui.guard("Restore?", &plan(false), &environment, true, &Answers::default()).unwrap();
    }
}
