//! When a life ends, and what is told then.

use neap_core::authority::{Close, Output};

use super::spec::{NOW, authority, carry, join, replica};

/// [EX1] The end is the last word: nobody hears after it that somebody has left, or what somebody showed
/// just before.
#[test]
fn ex1_the_end_is_the_last_word() {
    let mut authority = authority();
    let (mut one, mut other, mut third) = (replica(1), replica(2), replica(3));
    join(&mut authority, 1, &mut one, NOW);
    join(&mut authority, 2, &mut other, NOW);
    join(&mut authority, 3, &mut third, NOW);
    for state in ["1", "2"] {
        one.show(Some(state));
        third.show(Some(state));
        carry(&mut authority, &mut [(1, &mut one), (3, &mut third)], NOW);
    }
    assert!(authority.presence_due().is_some(), "the second state waits");
    authority.disconnect(3, NOW);
    authority.tick(NOW + 60_001);
    let outputs = authority.commit().unwrap_or_default();
    let over = |session| Output::Close { session, why: Close::Expired };
    assert_eq!(outputs, [over(1), over(2)]);
}
