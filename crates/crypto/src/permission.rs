//! Names of permissions such as `orders:read`, and what a wildcard stands for. Here because the server and the services that
//! check its tokens must read them alike.

/// Longest permission in bytes.
pub const MAX: usize = 100;
/// Most segments.
const SEGMENTS: usize = 5;

/// What a permission may be, as a sentence.
pub const RULE: &str = "Write a permission as resource:action, 2 to 5 segments of lower-case letters, digits, dots, dashes or underscores; \
                        * stands for a whole segment, at the end for all that follow.";

/// Whether a text is a permission, possibly with wildcards.
pub fn is_permission(text: &str) -> bool {
    let mut count = 0;
    let valid = text.split(':').all(|segment| {
        count += 1;
        segment == "*" || is_literal(segment)
    });
    valid && (2..=SEGMENTS).contains(&count) && text.len() <= MAX
}

/// Whether a text is a permission without wildcards: something that can be asked for.
pub fn is_concrete(text: &str) -> bool {
    is_permission(text) && !text.contains('*')
}

fn is_literal(segment: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    !segment.is_empty() && segment.chars().all(allowed)
}

/// Whether everything that `asked` stands for is among what `held` stands for. A `*` stands for one whole segment; as the
/// last segment, for one or more.
pub fn covers(held: &str, asked: &str) -> bool {
    let mut asked = asked.split(':').peekable();
    let mut held = held.split(':').peekable();
    while let Some(segment) = held.next() {
        let Some(wanted) = asked.next() else { return false };
        if segment != "*" {
            // A wildcard that is asked for stands for more than a name; one at the end for more segments, too.
            if segment != wanted {
                return false;
            }
        } else if held.peek().is_none() {
            return true;
        } else if wanted == "*" && asked.peek().is_none() {
            // Asks for any number of segments, of which this holds only so many.
            return false;
        }
    }
    asked.peek().is_none()
}

#[cfg(test)]
mod tests {
    use super::{covers, is_concrete, is_permission};

    #[test]
    fn permissions_have_two_to_five_segments_of_plain_characters() {
        for good in ["orders:read", "a:b", "hallpass:users:*", "*:*", "a.b-c_d:9", "*:read", "a:b:c:d:e"] {
            assert!(is_permission(good), "{good}");
        }
        let long = format!("a:{}", "b".repeat(99));
        let bad = [
            "",
            "orders",
            "orders:",
            ":read",
            "Orders:read",
            "orders:re*",
            "orders:read all",
            "a::b",
            "a:b:c:d:e:f",
        ];
        for bad in bad.into_iter().chain([long.as_str(), "a:b\n", "é:b", "*"]) {
            assert!(!is_permission(bad), "{bad}");
        }
        assert!(is_concrete("orders:read") && !is_concrete("orders:*"));
    }

    #[test]
    fn a_wildcard_stands_for_a_segment_and_at_the_end_for_all_that_follow() {
        let covered = [
            ("orders:read", "orders:read"),
            ("orders:*", "orders:read"),
            ("orders:*", "orders:read:own"),
            ("orders:*", "orders:*"),
            ("orders:*", "orders:*:own"),
            ("*:read", "orders:read"),
            ("*:*", "orders:read"),
            ("*:*", "orders:read:own"),
            ("*:*", "*:*"),
            ("orders:*:own", "orders:read:own"),
        ];
        for (held, asked) in covered {
            assert!(covers(held, asked), "{held} covers {asked}");
        }
        let not = [
            ("orders:read", "orders:write"),
            ("orders:read", "orders:read:own"),
            ("orders:read:own", "orders:read"),
            ("orders:*", "orders"),
            ("orders:*", "invoices:read"),
            ("orders:read", "orders:*"),
            ("orders:*:own", "orders:*"),
            ("*:read", "hallpass:users:read"),
            ("orders:*:*", "orders:read"),
            ("orders:*:*", "orders:*"),
            ("orders:*", "*:*"),
            ("*:read", "*:*"),
        ];
        for (held, asked) in not {
            assert!(!covers(held, asked), "{held} does not cover {asked}");
        }
    }

    #[test]
    fn covering_means_that_whatever_is_under_what_is_asked_is_under_what_is_held() {
        // Every pattern over two names with two or three segments, against every name of two to four segments.
        let names = |segments: usize, words: &[&str]| {
            (1..segments).fold(words.iter().map(ToString::to_string).collect::<Vec<_>>(), |so_far, _| {
                so_far
                    .iter()
                    .flat_map(|left| words.iter().map(move |right| format!("{left}:{right}")))
                    .collect()
            })
        };
        let patterns = [names(2, &["a", "b", "*"]), names(3, &["a", "b", "*"])].concat();
        let concrete =
            [names(2, &["a", "b", "c"]), names(3, &["a", "b", "c"]), names(4, &["a", "b", "c"])].concat();
        for held in &patterns {
            for asked in &patterns {
                let subset =
                    concrete.iter().filter(|name| covers(asked, name)).all(|name| covers(held, name));
                assert_eq!(covers(held, asked), subset, "{held} {asked}");
            }
        }
    }
}
