//! Numbers, of which only one question is asked: whether a finite double is near.

use core::cmp::Ordering;

use super::{Invalid, Reader};

/// The integer part of the least decimal number that rounds to infinity: 2^1024 - 2^970.
const OVERFLOW: &[u8] = b"179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792";

impl<'a> Reader<'a, '_> {
    fn digits(&mut self) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.slice(start..self.at)
    }

    pub(super) fn number(&mut self) -> Result<(), Invalid> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits();
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(Invalid::Syntax);
        }
        let mut fraction = "";
        if self.peek() == Some(b'.') {
            self.at += 1;
            fraction = self.digits();
            if fraction.is_empty() {
                return Err(Invalid::Syntax);
            }
        }
        let mut exponent = 0_i64;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let sign = self.peek().filter(|byte| matches!(byte, b'+' | b'-'));
            self.at += usize::from(sign.is_some());
            let digits = self.digits();
            if digits.is_empty() {
                return Err(Invalid::Syntax);
            }
            let size = digits
                .bytes()
                .fold(0_i64, |sum, digit| (sum * 10 + i64::from(digit - b'0')).min(1 << 40));
            exponent = if sign == Some(b'-') { -size } else { size };
        }
        if is_finite(whole, fraction, exponent) { Ok(()) } else { Err(Invalid::Number) }
    }
}

/// Whether `whole.fraction × 10^exponent` rounds to a finite double, told from its digits alone: a
/// conversion to `f64` would bring 10 KB into the browser for a question that is almost never asked.
fn is_finite(whole: &str, fraction: &str, exponent: i64) -> bool {
    // Most numbers are short.
    if exponent <= 0 && whole.len() < OVERFLOW.len() {
        return true;
    }
    let digits = || whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0');
    let zeros = whole.bytes().chain(fraction.bytes()).take_while(|digit| *digit == b'0').count();
    let count = i64::try_from(whole.len() + fraction.len() - zeros).unwrap_or(i64::MAX);
    let fraction_len = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    // Digits before the decimal point, once the exponent has moved it.
    let places = count - fraction_len + exponent;
    let bound = i64::try_from(OVERFLOW.len()).unwrap_or(i64::MAX);
    match places.cmp(&bound) {
        Ordering::Less => true,
        Ordering::Greater => count == 0,
        Ordering::Equal => {
            let padded = digits().chain(core::iter::repeat(b'0'));
            padded.take(OVERFLOW.len()).cmp(OVERFLOW.iter().copied()) == Ordering::Less
        }
    }
}
