//! Foreign text without what would move a terminal's cursor, change its title or hide a line.

use std::borrow::Cow;

/// [`strip`], for text that hardly ever needs it.
pub fn stripped(text: &str) -> Cow<'_, str> {
    // Whole pieces at once, which the compiler turns into few instructions.
    let is_plain = text.as_bytes().chunks(64).all(|piece| {
        piece
            .iter()
            .fold(true, |plain, byte| plain & (matches!(byte, b' '..=b'~') | matches!(byte, b'\n' | b'\t')))
    });
    if is_plain { Cow::Borrowed(text) } else { Cow::Owned(strip(text)) }
}

/// Leaves letters, newlines and tabs; takes away escape sequences and control characters.
pub fn strip(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next() {
                // Control sequence: parameters, then one letter or sign that ends it.
                Some('[') => while characters.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // Strings (title, hyperlink, …): up to BEL or ESC \.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(c) = characters.next() {
                        if c == '\u{7}' || c == '\u{9c}' {
                            break;
                        }
                        if c == '\u{1b}' {
                            characters.next_if_eq(&'\\');
                            break;
                        }
                    }
                }
                // A set of characters: one more follows.
                Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
                    characters.next();
                }
                _ => {}
            },
            '\u{9b}' => while characters.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            '\n' | '\t' => plain.push(character),
            // Signs that turn the direction of writing can make a line read as another one.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

/// JSON that a terminal can show too: the control characters that JSON lets stand, and those that turn the direction
/// of writing, by their numbers. They stand inside of strings only, so that what is read is the same.
pub fn in_json(text: String) -> String {
    if text.bytes().all(|byte| byte < 0x7f) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                plain.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{in_json, strip};

    #[test]
    fn json_means_the_same_and_moves_no_cursor() {
        let value = serde_json::json!({ "line": "ä ✔ \u{1b}[31m\u{9b}2J\u{7f}\u{202e}txt" });
        let text = in_json(value.to_string());
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.contains("ä ✔"), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn only_text_is_left() {
        for (text, plain) in [
            ("plain ä ✔\ttab\nline", "plain ä ✔\ttab\nline"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[1;1Hx", "x"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://a\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("a\rb\u{8}c\u{0}d\u{7f}", "abcd"),
            ("\u{9b}31mx", "x"),
            ("\u{1b}(Bx", "x"),
            ("cut \u{1b}[3", "cut "),
            ("cut \u{1b}", "cut "),
            ("\u{202e}txt", "txt"),
        ] {
            assert_eq!(strip(text), plain, "{text:?}");
        }
    }
}
