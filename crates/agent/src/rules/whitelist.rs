//! Which recipients hold while a release with another `mail.whitelist` is on its way.

use orocloud_protocol::{EnvironmentType, MailDomain};

/// A list of the application's orocloud.yaml; `None` where it has none.
pub type Named = Option<Vec<MailDomain>>;

/// What holds from before the switch until the operation has ended, beside what holds already: nothing that only the old
/// release sends to is lost while it is served, and the new one never reaches who is on neither list. Where there was no list
/// in production the old one reaches everybody: mail to others waits then (`Desired::on_the_way`). A release without a list
/// takes none away: it is followed once it is sure to stay.
pub fn beside(holds: &Named, coming: &Named) -> Named {
    match (holds, coming) {
        (holds, None) => holds.clone(),
        (None, coming) => coming.clone(),
        (Some(holds), Some(coming)) => {
            let mut both: Vec<MailDomain> = holds.iter().chain(coming).cloned().collect();
            both.sort();
            both.dedup();
            Some(both)
        }
    }
}

/// Whether mail reaches somebody by the one list whom it must not reach by the one that comes.
pub fn narrows(kind: EnvironmentType, before: &Named, coming: &Named) -> bool {
    match (before, coming) {
        // Without a list mail reaches everybody in production, and nobody elsewhere.
        (Some(before), None) => kind != EnvironmentType::Prod && !before.is_empty(),
        (None, None) => false,
        (None, Some(_)) => kind == EnvironmentType::Prod,
        (Some(before), Some(coming)) => before.iter().any(|domain| !coming.contains(domain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `-` is no list, and what stands between blanks one.
    fn named(text: &str) -> Named {
        (text != "-").then(|| text.split_whitespace().map(|domain| domain.parse().unwrap()).collect())
    }

    #[test]
    fn both_lists_hold_while_a_release_is_on_its_way() {
        use EnvironmentType::{Prod, Stag};
        for (before, coming, held, narrows_prod, narrows_stag) in [
            ("-", "-", "-", false, false),
            ("-", "a.example", "a.example", true, false),
            ("-", "", "", true, false),
            ("a.example", "-", "a.example", false, true),
            ("", "-", "", false, false),
            ("a.example", "a.example", "a.example", false, false),
            ("a.example", "b.example", "a.example b.example", true, true),
            ("b.example", "b.example a.example", "a.example b.example", false, false),
            ("a.example b.example", "b.example", "a.example b.example", true, true),
            ("a.example", "", "a.example", true, true),
            ("", "a.example", "a.example", false, false),
            // What a sub-domain is reached by counts only if it is named.
            ("sub.a.example", "a.example", "a.example sub.a.example", true, true),
        ] {
            let (old, new) = (named(before), named(coming));
            assert_eq!(beside(&old, &new), named(held), "{before} → {coming}");
            let found = (narrows(Prod, &old, &new), narrows(Stag, &old, &new));
            assert_eq!(found, (narrows_prod, narrows_stag), "{before} → {coming}");
        }
    }
}
