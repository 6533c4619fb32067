//! The known word that an unknown one resembles.

/// Words that differ in more letters than this are not meant.
const MAX_DISTANCE: usize = 4;

/// Returns the known word nearest to `word`; a known key whose last part is the same counts as near.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    known
        .map(|candidate| {
            let whole = distance(word, candidate);
            let part = distance(&last(word), &last(candidate)) + 1;
            (whole.min(part), candidate)
        })
        .filter(|(distance, candidate)| *distance <= MAX_DISTANCE.min(candidate.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Counts insertions, deletions and replacements between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_is_recognised() {
        let known = ["warehouse", "s3.endpoint", "writer.commit_bytes", "writer.cores"];
        assert_eq!(nearest("warehose", known.into_iter()), Some("warehouse"));
        assert_eq!(nearest("writer.commit_byte", known.into_iter()), Some("writer.commit_bytes"));
        assert_eq!(nearest("commit_bytes", known.into_iter()), Some("writer.commit_bytes"), "section forgotten");
        assert_eq!(nearest("colour", known.into_iter()), None);
    }
}
