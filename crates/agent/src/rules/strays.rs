//! Which web nodes serve something else than they should.

use orocloud_protocol::{NodeName, ReleaseName};

/// Of the nodes that answered, those that serve something else than what is recorded, each with the reason to keep it
/// out. Where no node serves what is recorded the record may be what is wrong, so none is kept out.
pub fn strays(
    recorded: &ReleaseName,
    serving: &[(NodeName, Option<ReleaseName>)],
) -> Vec<(NodeName, String)> {
    let right = |release: &Option<ReleaseName>| release.as_ref() == Some(recorded);
    if !serving.iter().any(|(_, release)| right(release)) {
        return Vec::new();
    }
    let others = serving.iter().filter(|(_, release)| !right(release));
    others
        .map(|(node, release)| {
            let served =
                release.as_ref().map_or("no release".to_owned(), |release| format!("release {release}"));
            (node.clone(), format!("it serves {served} in place of release {recorded}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_serves_something_else_is_a_stray_unless_all_do() {
        let release = |text: &str| -> ReleaseName { text.parse().unwrap() };
        let (one, two) = (release("20261124103200"), release("20261125103200"));
        type Serving<'a> = &'a [(&'a str, Option<&'a ReleaseName>)];
        let cases: [(Serving<'_>, &[&str]); 6] = [
            (&[("web1", Some(&two)), ("web2", Some(&two))], &[]),
            (&[("web1", Some(&one)), ("web2", Some(&two))], &["web1"]),
            (&[("web1", None), ("web2", Some(&two)), ("web3", Some(&one))], &["web1", "web3"]),
            (&[("web1", Some(&one)), ("web2", Some(&one))], &[]),
            (&[("web1", Some(&one))], &[]),
            (&[], &[]),
        ];
        for (serving, expected) in cases {
            let serving: Vec<_> =
                serving.iter().map(|(node, release)| (node.parse().unwrap(), release.cloned())).collect();
            let found: Vec<_> =
                strays(&two, &serving).into_iter().map(|(node, _)| node.to_string()).collect();
            assert_eq!(found, expected, "{serving:?}");
        }
        let serving = [("web1".parse().unwrap(), Some(one)), ("web2".parse().unwrap(), Some(two.clone()))];
        assert_eq!(
            strays(&two, &serving)[0].1,
            "it serves release 20261124103200 in place of release 20261125103200"
        );
    }
}
