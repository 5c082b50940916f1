//! By which words a user is found: pure.
use unicode_normalization::UnicodeNormalization;

/// Most words of a query that count.
const MAX_WORDS: usize = 4;

/// Letters as they are compared: compatible forms alike (Unicode NFKC), lower case.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// What a search may begin with to find a user, sorted: the address, its domain, the username, each word of the name, and the parts of a
/// word with a dash or an apostrophe.
pub(super) fn terms(email: &str, username: Option<&str>, name: Option<&str>) -> Vec<String> {
    let email = folded(email);
    let mut terms: Vec<String> =
        email.rsplit_once('@').map(|(_, domain)| domain.to_owned()).into_iter().collect();
    terms.push(email);
    terms.extend(username.map(folded));
    for word in folded(name.unwrap_or_default()).split_whitespace() {
        terms.push(word.to_owned());
        terms.extend(word.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
    }
    terms.retain(|term| !term.is_empty());
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// The words of a query, each of which some term has to begin with; the longest first, since it finds the fewest.
pub(super) fn words(query: &str) -> Vec<String> {
    let folded = folded(query);
    let mut words: Vec<String> = folded.split_whitespace().map(str::to_owned).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    words.truncate(MAX_WORDS);
    words
}

/// Behind everything that begins with a word: no byte of UTF-8 is as large.
pub(super) fn behind(word: &str) -> Vec<u8> {
    [word.as_bytes(), &[0xff]].concat()
}
