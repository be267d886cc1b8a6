//! Commands written as one line of text, as they become argument vectors.

/// The arguments of a console command. Unlike in a shell, a backslash escapes only a blank, a quote or a
/// backslash, so that names of PHP classes need none: `Oro\Bundle\UserBundle\Entity\User` stays as it is. Inside
/// single quotes nothing is escaped, inside double quotes only those two characters are.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\0' {
            return Err("holds a NUL character".to_owned());
        }
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (_, '\\') if characters.peek().is_some_and(|next| escapes(quote, *next)) => {
                word.get_or_insert_default().extend(characters.next());
            }
            _ => word.get_or_insert_default().push(character),
        }
    }
    if let Some(open) = quote {
        return Err(format!("has a quote {open} that is not closed: {line}"));
    }
    words.extend(word);
    if words.first().is_none_or(String::is_empty) {
        return Err("is an empty command".to_owned());
    }
    Ok(words)
}

fn escapes(quote: Option<char>, next: char) -> bool {
    match quote {
        None => next.is_whitespace() || matches!(next, '\'' | '"' | '\\'),
        Some('"') => matches!(next, '"' | '\\'),
        Some(_) => false,
    }
}

/// A console command: not an option, so that the console cannot be told to do something else first.
pub fn console(line: &str) -> Result<Vec<String>, String> {
    let words = split(line)?;
    if words[0].starts_with('-') {
        return Err(format!("must begin with the name of a console command, not with {}", words[0]));
    }
    Ok(words)
}

/// How composer is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposerCommand {
    /// Variables in front of it.
    pub environment: Vec<(String, String)>,
    /// What follows it.
    pub arguments: Vec<String>,
}

impl Default for ComposerCommand {
    fn default() -> Self {
        let arguments = ["install", "--no-dev", "--optimize-autoloader"].map(str::to_owned).to_vec();
        Self { environment: Vec::new(), arguments }
    }
}

/// Reads `[VAR=value …] {{composer_cmd}} COMMAND [options]`. The folder (`-d`) and `-n` are left out: both are given
/// anyway.
pub fn composer(line: &str) -> Result<ComposerCommand, String> {
    let words = split(line)?;
    let Some(position) = words.iter().position(|word| word == "{{composer_cmd}}") else {
        return Err("must call composer as {{composer_cmd}}".to_owned());
    };
    let environment = words[..position]
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) if is_variable(name) => Ok((name.to_owned(), value.to_owned())),
            _ => Err(format!("may have only VAR=value before {{{{composer_cmd}}}}, not {word}")),
        })
        .collect::<Result<_, _>>()?;
    let mut arguments = Vec::new();
    let mut rest = words[position + 1..].iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-d" | "--working-dir" => drop(rest.next()),
            "-n" | "--no-interaction" => {}
            word if word.starts_with("-d") || word.starts_with("--working-dir=") => {}
            word => arguments.push(word.to_owned()),
        }
    }
    if arguments.first().is_none_or(|word| word.starts_with('-')) {
        return Err("must name composer's command right after {{composer_cmd}}".to_owned());
    }
    Ok(ComposerCommand { environment, arguments })
}

/// Whether a variable may be named so.
pub fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_of_console_arguments_holds() {
        let roles = ["oro:user:list", "--roles=Sale Manager"];
        let consume = ["oro:message-queue:consume", "--memory-limit=512", "--time-limit=+30 seconds"];
        let cases: [(&str, &[&str]); 7] = [
            (r"oro:user:list --roles=Sale\ Manager", &roles),
            (r"oro:user:list --roles='Sale Manager'", &roles),
            (r#"oro:user:list --roles="Sale Manager""#, &roles),
            (
                r"oro:search:reindex Oro\Bundle\UserBundle\Entity\User",
                &["oro:search:reindex", r"Oro\Bundle\UserBundle\Entity\User"],
            ),
            ("oro:message-queue:consume --memory-limit=512 --time-limit='+30 seconds'", &consume),
            ("oro:message-queue:consume --memory-limit=512 --time-limit=\"+30 seconds\"", &consume),
            (
                r"oro:search:reindex Oro\\Bundle\\UserBundle\\Entity\\User",
                &["oro:search:reindex", r"Oro\Bundle\UserBundle\Entity\User"],
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(console(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn quotes_blanks_and_what_cannot_be_a_command() {
        for (line, expected) in [
            ("  a \t b ", vec!["a", "b"]),
            ("a '' \"\"", vec!["a", "", ""]),
            (r"a 'x\y' \'b\' c\", vec!["a", r"x\y", "'b'", r"c\"]),
            (r#"a "say \"it\" \n""#, vec!["a", r#"say "it" \n"#]),
            ("a b'c d'e; rm -rf / $(id)", vec!["a", "bc de;", "rm", "-rf", "/", "$(id)"]),
        ] {
            assert_eq!(split(line).unwrap(), expected, "{line}");
        }
        for line in ["", "   ", "''", "a 'b", "a \"b", "a\0b"] {
            assert!(split(line).is_err(), "{line:?}");
        }
        assert!(console("--version").is_err());
    }

    #[test]
    fn composer_is_called_with_what_stands_around_it() {
        let command =
            composer("A=1 B='2 3' {{composer_cmd}} install -n -d /tmp --working-dir=/x --no-dev").unwrap();
        assert_eq!(command.environment, [("A".into(), "1".into()), ("B".into(), "2 3".into())]);
        assert_eq!(command.arguments, ["install", "--no-dev"]);
        for line in [
            "composer install",
            "{{composer_cmd}}",
            "rm {{composer_cmd}} install",
            "{{composer_cmd}} --version",
        ] {
            assert!(composer(line).is_err(), "{line}");
        }
    }
}
