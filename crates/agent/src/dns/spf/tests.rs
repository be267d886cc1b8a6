use super::super::lookup::Table;
use super::*;

async fn judged(lines: &str) -> (Tree, Spent, Outcome) {
    let table = Table::new(lines);
    let (tree, spent) = read(&table, "shop.example").await;
    let outcome = tree.judge("192.0.2.7".parse().unwrap()).outcome;
    (tree, spent, outcome)
}

/// A chain of as many inclusions, the last of which lets the address pass.
fn chain(length: usize) -> String {
    let mut lines = "shop.example TXT v=spf1 include:n1.example -all\n".to_owned();
    for number in 1..length {
        lines.push_str(&format!("n{number}.example TXT v=spf1 include:n{}.example -all\n", number + 1));
    }
    lines + &format!("n{length}.example TXT v=spf1 ip4:192.0.2.7 -all\n")
}

#[tokio::test]
async fn an_address_is_judged_as_receivers_judge_it() {
    let perm = |part: &str| Outcome::PermError(part.to_owned());
    for (lines, expected) in [
        ("", Outcome::None),
        ("shop.example TXT unrelated", Outcome::None),
        ("shop.example TXT v=spf10 -all", Outcome::None),
        ("shop.example TXT v=spf1", Outcome::Neutral),
        ("shop.example TXT V=SPF1 +ALL", Outcome::Pass),
        ("shop.example TXT v=spf1 ip4:192.0.2.0/24 -all", Outcome::Pass),
        ("shop.example TXT v=spf1 ip4:192.0.3.0/24 -all", Outcome::Fail),
        ("shop.example TXT v=spf1 ip4:192.0.3.0/24 ~all", Outcome::SoftFail),
        ("shop.example TXT v=spf1 ?ip4:192.0.2.7 -all", Outcome::Neutral),
        ("shop.example TXT v=spf1 -all ip4:192.0.2.7", Outcome::Fail),
        ("shop.example TXT v=spf1 ip6:2001:db8::/32 -all", Outcome::Fail),
        ("shop.example TXT v=spf1 a -all\nshop.example A 192.0.2.7", Outcome::Pass),
        ("shop.example TXT v=spf1 a:x.example/24 -all\nx.example A 192.0.2.200", Outcome::Pass),
        (
            "shop.example TXT v=spf1 mx//64 -all\nshop.example MX x.example\nx.example A 192.0.2.7",
            Outcome::Pass,
        ),
        ("shop.example TXT v=spf1 exists:x.example -all\nx.example A 127.0.0.2", Outcome::Pass),
        ("shop.example TXT v=spf1 exists:x.example -all", Outcome::Fail),
        // A failure within an inclusion is none of the record that includes it.
        ("shop.example TXT v=spf1 include:x.example ~all\nx.example TXT v=spf1 -all", Outcome::SoftFail),
        ("shop.example TXT v=spf1 include:x.example -all\nx.example TXT v=spf1 +all", Outcome::Pass),
        ("shop.example TXT v=spf1 -include:x.example +all\nx.example TXT v=spf1 +all", Outcome::Fail),
        (
            "shop.example TXT v=spf1 redirect=x.example\nx.example TXT v=spf1 ip4:192.0.2.7 -all",
            Outcome::Pass,
        ),
        // A redirection beside `all` is not followed.
        ("shop.example TXT v=spf1 -all redirect=x.example\nx.example TXT v=spf1 +all", Outcome::Fail),
        ("shop.example TXT v=spf1 redirect=x.example", perm("x.example has no SPF record")),
        ("shop.example TXT v=spf1 include:x.example -all", perm("x.example has no SPF record")),
        (
            "shop.example TXT v=spf1 -all\nshop.example TXT v=spf1 +all",
            perm("shop.example has several SPF records"),
        ),
        (
            "shop.example TXT v=spf1 ipv4:192.0.2.7 -all",
            perm("the record of shop.example: ipv4:192.0.2.7: SPF knows no such term"),
        ),
        (
            "shop.example TXT v=spf1 ip4:192.0.2 -all",
            perm("the record of shop.example: ip4:192.0.2: these are no addresses"),
        ),
        (
            "shop.example TXT v=spf1 a/33 -all",
            perm("the record of shop.example: a/33: the number of bits cannot be"),
        ),
        (
            "shop.example TXT v=spf1 include: -all",
            perm("the record of shop.example: include:: what is meant is missing after it"),
        ),
        ("shop.example TXT v=spf1 include:shop.example -all", perm("shop.example leads back to itself")),
        (
            "shop.example TXT v=spf1 include:a.example -all\na.example TXT v=spf1 redirect=b.example\nb.example TXT v=spf1 include:a.example",
            perm("a.example leads back to itself"),
        ),
        // Modifiers that nobody knows are nothing.
        ("shop.example TXT v=spf1 unknown=%{x} ip4:192.0.2.7 exp=why.example -all", Outcome::Pass),
        // What depends on the message is said rather than guessed, unless it is decided before.
        (
            "shop.example TXT v=spf1 exists:%{i}.x.example -all",
            Outcome::Undecided("exists:%{i}.x.example".into()),
        ),
        ("shop.example TXT v=spf1 ptr -all", Outcome::Undecided("ptr".into())),
        (
            "shop.example TXT v=spf1 redirect=%{d}.x.example",
            Outcome::Undecided("redirect=%{d}.x.example".into()),
        ),
        ("shop.example TXT v=spf1 exists:%{i}.x.example ip4:192.0.2.7 -all", Outcome::Pass),
        (
            "shop.example TXT v=spf1 include:x.example -all\nx.example TXT v=spf1 ptr",
            Outcome::Undecided("include:x.example".into()),
        ),
        ("shop.example SILENT", Outcome::TempError("nothing is said about shop.example".into())),
        (
            "shop.example TXT v=spf1 include:x.example -all\nx.example SILENT",
            Outcome::TempError("nothing is said about x.example".into()),
        ),
    ] {
        assert_eq!(judged(lines).await.2, expected, "{lines}");
    }
}

#[tokio::test]
async fn look_ups_are_counted_over_the_whole_tree() {
    let ten = judged(&chain(10)).await;
    assert_eq!((ten.1, ten.2), (Spent { lookups: 10, void: 0 }, Outcome::Pass));
    let eleven = judged(&chain(11)).await;
    assert_eq!(eleven.1.lookups, 11);
    assert!(matches!(&eleven.2, Outcome::PermError(why) if why.contains("10 look-ups")), "{:?}", eleven.2);
    // Whoever is let pass before comes to no end; the whole is too much all the same.
    let early = judged(&chain(11).replacen("v=spf1 ", "v=spf1 ip4:192.0.2.7 ", 1)).await;
    assert_eq!((early.1.lookups, early.2), (11, Outcome::Pass));
    // Side by side is the same as one within the other; ip4, ip6, all and exp need none.
    let side = "shop.example TXT v=spf1 include:a.example include:a.example mx a ip4:1.2.3.4 redirect=b.example exp=c.example\n\
                a.example TXT v=spf1 a:d.example exists:d.example -all\nb.example TXT v=spf1 -all\n\
                d.example A 192.0.2.9\nshop.example A 192.0.2.9\nshop.example MX d.example";
    assert_eq!(judged(side).await.1, Spent { lookups: 9, void: 0 });
}

#[tokio::test]
async fn look_ups_that_find_nothing_are_counted() {
    let two = judged("shop.example TXT v=spf1 a:x.example mx:y.example ip4:192.0.2.7 -all").await;
    assert_eq!((two.1, two.2), (Spent { lookups: 2, void: 2 }, Outcome::Pass));
    let three =
        judged("shop.example TXT v=spf1 a:x.example mx:y.example a:z.example ip4:192.0.2.7 -all").await;
    assert_eq!(three.1, Spent { lookups: 3, void: 3 });
    assert!(matches!(&three.2, Outcome::PermError(why) if why.contains("find nothing")), "{:?}", three.2);
}

#[tokio::test]
async fn a_tree_without_end_is_left() {
    let mut lines = chain(200);
    lines.push_str("x.example TXT v=spf1 -all");
    let (tree, spent, outcome) = judged(&lines).await;
    assert!((11..60).contains(&spent.lookups), "{spent:?}");
    assert!(matches!(outcome, Outcome::PermError(_)) && tree.faults().is_empty(), "{outcome:?}");
}

#[tokio::test]
async fn an_mx_with_too_many_hosts_is_none() {
    let mut lines = "shop.example TXT v=spf1 mx -all\n".to_owned();
    for number in 0..11 {
        lines.push_str(&format!("shop.example MX m{number}.example\nm{number}.example A 192.0.2.7\n"));
    }
    let (tree, _, outcome) = judged(&lines).await;
    assert!(matches!(&outcome, Outcome::PermError(why) if why.contains("11 mail hosts")), "{outcome:?}");
    assert_eq!(tree.faults()[0].0.as_deref(), Some("mx"));
}
