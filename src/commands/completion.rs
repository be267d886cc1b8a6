//! `completion`: scripts for shells, made from the same tree that parses.

use clap::{Arg, Command, Parser, ValueEnum};
use clap_complete::{Shell, generate};

use super::{Context, Outcome, Run};
use crate::cli;

/// Print a completion script
///
/// For bash: source <(orocloud-cli completion bash). For zsh: orocloud-cli completion zsh > a folder of $fpath, named
/// _orocloud-cli. For fish: orocloud-cli completion fish > ~/.config/fish/completions/orocloud-cli.fish.
#[derive(Debug, Parser)]
pub struct Completion {
    /// bash, zsh or fish
    #[arg(value_name = "SHELL", value_enum, hide_possible_values = true)]
    shell: For,
}

/// Shells that there is a script for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum For {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

impl Run for Completion {
    fn run(self, context: &mut Context) -> Outcome {
        let text = script(self.shell);
        context.ui.line(text.trim_end())?;
        Ok(0)
    }
}

/// The script for a shell.
pub fn script(shell: For) -> String {
    match shell {
        For::Bash => bash(&cli::command()),
        For::Zsh => {
            let mut text = generated(Shell::Zsh);
            // zsh reads what stands behind the first colon as the description.
            for entry in super::COMMANDS.iter().filter(|entry| entry.name.contains(':')) {
                let escaped = entry.name.replace(':', "\\:");
                text = text.replace(&format!("'{}:", entry.name), &format!("'{escaped}:"));
            }
            text
        }
        For::Fish => generated(Shell::Fish),
    }
}

fn generated(shell: Shell) -> String {
    let mut bytes = Vec::new();
    generate(shell, &mut cli::command(), "orocloud-cli", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Options as a person types them: `--label=` when a value follows at once, `--quiet` when none does.
fn options<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut words: Vec<String> = Vec::new();
    for argument in arguments.filter(|argument| !argument.is_hide_set()) {
        if let Some(long) = argument.get_long() {
            let takes_value = argument.get_action().takes_values();
            words.push(if takes_value { format!("--{long}=") } else { format!("--{long}") });
        }
    }
    words.sort();
    words.dedup();
    words.join(" ")
}

/// bash splits words at the colons of COMP_WORDBREAKS. The script joins them again, and cuts from each answer what
/// bash believes to be typed already.
fn bash(tree: &Command) -> String {
    let mut cases = String::new();
    let mut names = Vec::new();
    for command in tree.get_subcommands().filter(|command| !command.is_hide_set()) {
        names.push(command.get_name().to_owned());
        cases.push_str(&format!(
            "        {}) options=\"{}\" ;;\n",
            command.get_name(),
            options(command.get_arguments())
        ));
    }
    BASH.replace("@GLOBAL@", &options(tree.get_arguments()))
        .replace("@NAMES@", &names.join(" "))
        .replace("@CASES@\n", &cases)
}

const BASH: &str = r#"# bash completion for orocloud-cli

_orocloud_cli() {
    local global="@GLOBAL@ --help"
    local names="@NAMES@"
    local words=() current="" options="" command="" word i

    # Join what was split at colons: `backup : list` is one word.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if ((${#words[@]} > 0 && i > 0)) && { [[ $word == :* ]] || [[ ${words[-1]} == *: ]]; } &&
            [[ ${words[-1]} != -* ]]; then
            words[-1]+="$word"
        else
            words+=("$word")
        fi
    done
    current="${words[-1]}"

    local previous=""
    for word in "${words[@]:1:${#words[@]}-2}"; do
        if [[ $previous != -E && $previous != --env && $previous != --log && $word != -* && -z $command ]]; then
            command="$word"
        fi
        previous="$word"
    done

    COMPREPLY=()
    # `--env=acme` comes as `--env`, `=`, `acme`.
    local option="$previous"
    if [[ $previous == "=" && ${#words[@]} -ge 3 ]]; then
        option="${words[-3]}"
    elif [[ $current == "=" ]]; then
        option="$previous"
        current=""
    fi
    case "$option" in
        -E|--env|--confirm|env:use)
            COMPREPLY=($(compgen -W "$(orocloud-cli env:list --per-page=1000 --format=csv 2>/dev/null | sed -n '2,$s/,.*//p')" -- "$current"))
            return ;;
        --log) COMPREPLY=($(compgen -f -- "$current")); return ;;
        --format) COMPREPLY=($(compgen -W "table json csv" -- "$current")); return ;;
        --level) COMPREPLY=($(compgen -W "debug info notice warning error critical" -- "$current")); return ;;
    esac
    case "$command" in
        "")
            if [[ $current != -* ]]; then
                COMPREPLY=($(compgen -W "$names" -- "$current"))
                if [[ $COMP_WORDBREAKS == *:* && $current == *:* ]]; then
                    local typed="${current%"${current##*:}"}"
                    COMPREPLY=("${COMPREPLY[@]#"$typed"}")
                fi
                return
            fi ;;
        completion) options="bash zsh fish" ;;
        help) options="$names exit-codes config times" ;;
@CASES@
    esac
    COMPREPLY=($(compgen -W "$options $global" -- "$current"))
    # No blank behind what still wants a value.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

complete -F _orocloud_cli orocloud-cli
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command as Process;

    /// What bash offers for a line, with the colon in COMP_WORDBREAKS as it is everywhere.
    fn offered(words: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("completion");
        std::fs::write(&file, script(For::Bash)).unwrap();
        let program = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _orocloud_cli; printf '%s\n' "${COMPREPLY[@]}""#;
        let output = Process::new("bash")
            .args(["--norc", "-c", program, "bash"])
            .arg(&file)
            .args(words)
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn names_with_a_colon_complete_in_bash() {
        assert_eq!(offered(&["orocloud-cli", "stat"]), ["status"]);
        assert_eq!(offered(&["orocloud-cli", "back"]).len(), 4);
        assert_eq!(offered(&["orocloud-cli", "backup", ":"]), ["create", "list", "restore", "window"]);
        assert_eq!(offered(&["orocloud-cli", "backup", ":", "re"]), ["restore"]);
        assert_eq!(offered(&["orocloud-cli", "-E", "acme-prod1", "log", ":", "t"]), ["tail"]);
        assert_eq!(offered(&["orocloud-cli", "backup", ":", "restore", "--und"]), ["--undo="]);
        assert_eq!(offered(&["orocloud-cli", "backup", ":", "restore", "--forc"]), ["--force"]);
        assert_eq!(offered(&["orocloud-cli", "log", ":", "tail", "--level", "=", "cri"]), ["critical"]);
        assert_eq!(offered(&["orocloud-cli", "completion", "z"]), ["zsh"]);
    }

    #[test]
    fn the_other_scripts_know_the_names() {
        assert!(script(For::Zsh).contains(r"'backup\:list:"));
        assert!(script(For::Fish).contains("backup:list"));
    }
}
