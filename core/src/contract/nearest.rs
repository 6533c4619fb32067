//! The word that a misspelt one probably means.

/// Returns the word of `known` that takes at most two edits, or another case.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let candidates = known.iter().map(|k| (edits(&word.to_lowercase(), &k.to_lowercase()), *k));
    let (edits, best) = candidates.min_by_key(|(edits, _)| *edits)?;
    // Short words are near to everything.
    (edits <= 2 && edits * 3 <= word.len()).then_some(best)
}

/// Returns how many letters have to be put in, taken out or changed.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_unless_it_is_far() {
        let known = ["promote", "missing", "unknownProperties"];
        assert_eq!(nearest("promot", &known), Some("promote"));
        assert_eq!(nearest("unknownproperties", &known), Some("unknownProperties"));
        assert_eq!(nearest("misisng", &known), Some("missing"));
        assert_eq!(nearest("owner", &known), None);
        assert_eq!(nearest("x", &known), None);
    }
}
