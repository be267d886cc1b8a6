use super::super::lookup::Table;
use super::super::spf as tree;
use super::*;

fn domain() -> MailDomain {
    "shop.example".parse().unwrap()
}

fn sender(host: &str, addresses: &[&str]) -> Sender {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Sender { host: host.parse().unwrap(), addresses }
}

async fn spf_of(lines: &str) -> DnsRecord {
    let (tree, spent) = tree::read(&Table::new(lines), "shop.example").await;
    let senders = [sender("smtp.relay.example", &["192.0.2.7"]), sender("192.0.2.8", &["192.0.2.8"])];
    spf(&domain(), &tree, spent, &senders)
}

#[tokio::test]
async fn spf_says_what_is_missing_and_whether_mail_is_rejected() {
    use DnsVerdict::*;
    for (lines, verdict, rejects, expected, differs) in [
        ("", Missing, false, "v=spf1 a:smtp.relay.example ip4:192.0.2.8 ~all", &[][..]),
        ("shop.example TXT v=spf1 ip4:192.0.2.0/28 -all", Good, false, "v=spf1 ip4:192.0.2.0/28 -all", &[]),
        (
            "shop.example TXT v=spf1 ip4:192.0.2.8 -all",
            Wrong,
            true,
            "v=spf1 a:smtp.relay.example ip4:192.0.2.8 -all",
            &["-all"],
        ),
        (
            "shop.example TXT v=spf1 ip4:192.0.2.8 ~all",
            Wrong,
            false,
            "v=spf1 a:smtp.relay.example ip4:192.0.2.8 ~all",
            &[],
        ),
        ("shop.example TXT v=spf1", Wrong, false, "v=spf1 a:smtp.relay.example ip4:192.0.2.8", &[]),
        // Who runs the relay says by its own domain where it sends from.
        (
            "shop.example TXT v=spf1 include:relay.example ip4:192.0.2.8 -all\nrelay.example TXT v=spf1 ip4:10.0.0.0/8 -all",
            Good,
            false,
            "v=spf1 include:relay.example ip4:192.0.2.8 -all",
            &[],
        ),
        (
            "shop.example TXT v=spf1 include:_spf.relay.example ip4:192.0.2.8 -all\n_spf.relay.example TXT v=spf1 -all",
            Good,
            false,
            "v=spf1 include:_spf.relay.example ip4:192.0.2.8 -all",
            &[],
        ),
        (
            "shop.example TXT v=spf1 -all\nshop.example TXT v=spf1 +all",
            Several,
            true,
            "v=spf1 a:smtp.relay.example ip4:192.0.2.8 ~all",
            &[],
        ),
        (
            "shop.example TXT v=spf1 ip4:192.0.2.0/24 ipv4:1.2.3.4 -all",
            Wrong,
            true,
            "v=spf1 a:smtp.relay.example ip4:192.0.2.8 ~all",
            &[],
        ),
        // What is broken behind the term that lets mail pass is wrong, but nobody comes there.
        (
            "shop.example TXT v=spf1 ip4:192.0.2.0/24 include:x.example -all",
            Wrong,
            false,
            "v=spf1 ip4:192.0.2.0/24 include:x.example -all",
            &["include:x.example"],
        ),
        ("shop.example TXT v=spf1 ptr -all", Undecided, false, "v=spf1 ptr -all", &[]),
        (
            "shop.example TXT v=spf1 a:a.example a:b.example a:c.example -all",
            TooManyLookups,
            true,
            "v=spf1 a:a.example a:b.example a:c.example -all",
            &[],
        ),
        ("shop.example SILENT", NoAnswer, false, "v=spf1 a:smtp.relay.example ip4:192.0.2.8 ~all", &[]),
    ] {
        let record = spf_of(lines).await;
        assert_eq!((record.verdict, record.rejects), (verdict, rejects), "{lines}: {record:#?}");
        assert_eq!(record.expected, expected, "{lines}");
        assert_eq!(record.differs, differs, "{lines}");
        assert!(
            verdict == Good || verdict == Missing || !record.notes.is_empty() || lines.ends_with("spf1"),
            "{record:#?}"
        );
    }
}

#[tokio::test]
async fn a_relay_that_dns_does_not_know_is_named() {
    let (tree, spent) = tree::read(&Table::new("shop.example TXT v=spf1 -all"), "shop.example").await;
    let record = spf(&domain(), &tree, spent, &[sender("smtp.relay.example", &[])]);
    assert_eq!((record.verdict, record.rejects), (DnsVerdict::Wrong, false));
    assert!(record.notes[0].contains("no address of relay smtp.relay.example"), "{record:#?}");
}

/// The beginning of a key.
const PUBLIC: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA";

#[test]
fn a_key_is_compared_tag_by_tag() {
    use DnsVerdict::*;
    let public = REAL.trim();
    let key = |use_| Key { selector: "s1".parse().unwrap(), public: public.to_owned(), use_ };
    let with_blanks = format!("v=DKIM1; k=rsa;\tp={} {}", &public[..100], &public[100..]);
    for (texts, verdict, differs) in [
        (vec![], Missing, 0),
        (vec![format!("v=DKIM1; k=rsa; p={public}")], Good, 0),
        (vec![format!("p={public}")], Good, 0),
        (vec![with_blanks], Good, 0),
        (vec![format!("v=DKIM1; k=rsa; s=email:x; h=sha1:sha256; p={public}")], Good, 0),
        (vec![format!("v=DKIM1; k=rsa; s=tlsrpt; p={public}")], Wrong, 1),
        (vec![format!("v=DKIM1; k=rsa; h=sha1; p={public}")], Wrong, 1),
        (vec![format!("v=DKIM1; k=rsa; p={PUBLIC}")], Wrong, 1),
        (vec![format!("v=DKIM1; k=ed25519; p={public}")], Wrong, 2),
        (vec!["v=DKIM1; k=rsa; p=".to_owned()], Wrong, 1),
        (vec!["nonsense".to_owned()], Wrong, 0),
        (vec![format!("p={public}"), format!("p={public}")], Several, 0),
    ] {
        for use_ in [Use::Signing, Use::Next, Use::Former { until: Timestamp::UNIX_EPOCH }] {
            let record = dkim(&domain(), &key(use_), &Ok(texts.clone()));
            assert_eq!(record.verdict, verdict, "{texts:?}: {record:#?}");
            assert_eq!(record.differs.len(), differs, "{texts:?}: {record:#?}");
            // Only what signatures are made with can be wrong for mail.
            assert_eq!(record.rejects, use_ == Use::Signing && verdict != Good, "{record:#?}");
        }
    }
    let record = dkim(&domain(), &key(Use::Next), &Err(super::NoAnswer("silence".into())));
    assert_eq!((record.verdict, record.rejects), (DnsVerdict::NoAnswer, false));
    assert_eq!(record.name, "s1._domainkey.shop.example");
}

#[test]
fn a_policy_rejects_what_nobody_vouches_for() {
    use DnsVerdict::*;
    let policies = |of: &str, texts: &[&str]| {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Ok(Some(Policies { domain: of.to_owned(), texts }))
    };
    let own = |text: &str| policies("shop.example", &[text]);
    for (answer, spf, dkim, verdict, rejects) in [
        (Ok(None), false, false, Missing, false),
        (own("v=DMARC1; p=none"), false, false, Good, false),
        (own("v=DMARC1;p=none;rua=mailto:d@shop.example"), false, false, Good, false),
        (own("v=DMARC1; p=reject"), true, false, Good, false),
        (own("v=DMARC1; p=reject"), false, true, Good, false),
        (own("v=DMARC1; p=reject"), false, false, Wrong, true),
        (own("v=DMARC1; p=quarantine"), false, false, Wrong, true),
        // Of a domain above, `sp` counts, and without it `p`.
        (policies("example", &["v=DMARC1; p=reject; sp=none"]), false, false, Good, false),
        (policies("example", &["v=DMARC1; p=none; sp=reject"]), false, false, Wrong, true),
        (policies("example", &["v=DMARC1; p=reject"]), false, false, Wrong, true),
        (own("v=DMARC1"), false, false, Wrong, false),
        (own("v=DMARC1; p=perhaps"), false, false, Wrong, false),
        (policies("shop.example", &["v=DMARC1; p=reject", "v=DMARC1; p=none"]), false, false, Several, false),
    ] {
        let record = dmarc(&domain(), &answer, spf, dkim);
        assert_eq!((record.verdict, record.rejects), (verdict, rejects), "{answer:?}: {record:#?}");
    }
    for (text, good) in [
        ("v=DMARC1; p=none", true),
        ("v = DMARC1 ;p=none", true),
        ("v=DMARC1", true),
        ("v=DMARC10", false),
        ("x", false),
    ] {
        assert_eq!(is_policy(text), good, "{text}");
    }
}

/// A real public key: mail-auth looks at what it is.
const REAL: &str = include_str!("public.txt");
