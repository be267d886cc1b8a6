//! Two environments on one machine.

use crate::support::{Shop, order};

#[test]
fn two_sandboxes_do_not_meet() {
    let (one, other) = (Shop::start(), Shop::start());
    assert_ne!(one.sandbox.shop_url(), other.sandbox.shop_url());
    one.deploy("1.0.0");
    other.deploy("1.0.1");
    order(&one, 3);
    let orders = other.orders();
    order(&one, 2);
    assert_eq!(other.orders(), orders);
    assert!(one.page().1.contains("1.0.0"));
    assert!(other.page().1.contains("1.0.1"));
}
