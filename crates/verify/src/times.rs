//! Instants and ids as the server writes them.

/// Milliseconds since 1970 UTC of an instant such as `2026-01-01T00:00:00.000Z`, the one form that the server writes.
pub(crate) fn millis(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if bytes.len() != 24 || marks.iter().any(|(at, mark)| bytes.get(*at) != Some(mark)) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        let part = text.get(range)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten()
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second, milli) = (number(11..13)?, number(14..16)?, number(17..19)?, number(20..23)?);
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + milli)
}

/// Days since 1970-01-01 in the Gregorian calendar; March is the first month, so that a leap day is a year's last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// An id in its hyphenated form.
pub(crate) fn id(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|at| bytes.get(*at) != Some(&b'-')) {
        return None;
    }
    let mut number = 0_u128;
    for (at, byte) in bytes.iter().enumerate() {
        if ![8, 13, 18, 23].contains(&at) {
            number = number << 4 | u128::from(char::from(*byte).to_digit(16)?);
        }
    }
    Some(number)
}

/// Milliseconds since 1970 UTC at which what an id names began: its first 48 bits (UUIDv7, RFC 9562 5.7).
pub(crate) fn begun(id: u128) -> i64 {
    i64::try_from(id >> 80).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{begun, id, millis};

    #[test]
    fn instants_are_read_as_the_server_writes_them() {
        assert_eq!(millis("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(millis("2026-01-01T00:00:00.001Z"), Some(1_767_225_600_001));
        assert_eq!(millis("2024-02-29T23:59:59.999Z"), Some(1_709_251_199_999));
        assert_eq!(millis("2000-03-01T00:00:00.000Z"), Some(951_868_800_000));
        for wrong in [
            "",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.000+",
            "2026-01-01T00:00:0x.000Z",
            "+026-01-01T00:00:00.000Z",
        ] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ids_tell_when_they_were_made() {
        let session = id("019b76da-a800-7000-8000-000000000001").expect("an id");
        assert_eq!(begun(session), 1_767_225_600_000);
        for wrong in [
            "",
            "019b76da-a800-7000-8000-00000000000",
            "019b76daa80070008000000000000001----",
            "019b76da-a800-7000-8000-00000000000g",
        ] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
    }
}
